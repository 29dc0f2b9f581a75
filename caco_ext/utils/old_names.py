"""Translate old names in the configs of checkpoints."""
import re
from typing import Dict

#: Present names of classes, default hooks and some options with their values,
#: by their names before 0.1.0. They occur in the config that a checkpoint
#: holds. Names of weights have never changed.
OLD_NAMES: Dict[str, str] = {
    r'\bViewCrop\b': 'ViewRandomResizedCrop',
    r'\bViewJitter\b': 'ViewColorJitter',
    r'\bViewGray\b': 'ViewRandomGrayscale',
    r'\bViewBlur\b': 'ViewGaussianBlur',
    r'\bViewPreprocessor\b': 'AugmentDataPreprocessor',
    r'\bLateRuntimeInfoHook\b': 'AsyncRuntimeInfoHook',
    r'\bWholeCheckpointHook\b': 'ResumableCheckpointHook',
    r'\bStopHook\b': 'PreemptionHook',
    r'\bHarvestHook\b': 'RunReportHook',
    r'\bDividedMemoryHook\b': 'ShardedMemoryHook',
    r'\bTrainSignalsHook\b': 'TrainingMetricsHook',
    r'\bPreviewHook\b': 'VisualizationHook',
    # A dict only: PreemptionHook has an option `signals`, a tuple.
    r'\bsignals=dict\(': 'metrics=dict(',
    r'\bstop=dict\(': 'preemption=dict(',
    r'\bharvest=dict\(': 'run_report=dict(',
    r'\bdivided_memory=dict\(': 'sharded_memory=dict(',
    r"\bmove='step'": "update_after='optimizer_step'",
    r"\bmove='pass'": "update_after='backward'",
    r'\bkept_mib=': 'cache_mib=',
}


def with_present_names(text: str) -> str:
    """Replace the old names in the config of a checkpoint.

    Args:
        text (str): The config, as the checkpoint holds it.

    Returns:
        str: The same config for the present package.

    Example:
        >>> with_present_names("hook = dict(type='StopHook')")
        "hook = dict(type='PreemptionHook')"
    """
    for old, new in OLD_NAMES.items():
        text = re.sub(old, new, text)
    return text
