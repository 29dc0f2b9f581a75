"""The checkpoint of a run that may still be training."""
from typing import Optional

from .run_features import RunFeatures
from .run_logs import RunLog, find_last_checkpoint


def open_features(log: RunLog,
                  checkpoint: Optional[str] = None,
                  **options) -> RunFeatures:
    """Open the checkpoint of a run that may still be training.

    Args:
        log (RunLog): The run.
        checkpoint (str, optional): Another checkpoint than its last.
            Defaults to None.
        **options: Of :class:`RunFeatures`.

    Returns:
        RunFeatures: With its checkpoint open. One that is damaged says so
        when it is used.
    """
    features = RunFeatures(log.cfg, checkpoint or log.checkpoint, **options)
    while features.checkpoint is not None:
        try:
            features.content
        except FileNotFoundError:
            # the training has removed it since the folder was looked at
            found = find_last_checkpoint(log.work_dir)
            if checkpoint or found == features.checkpoint:
                raise
            features = RunFeatures(log.cfg, found, **options)
            continue
        except ValueError:
            pass
        break
    return features
