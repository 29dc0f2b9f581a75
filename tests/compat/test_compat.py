import pytest

from caco_ext import compat
from tests.helpers import ROOT
from tests.helpers.warm_python import warm_python

NAMES = [
    'check_versions', 'operators_from_torchvision', 'mend_registry_locations',
    'lend_former_scopes', 'build_inherited_collate_fn', 'load_without_workers',
    'remove_hooks_by_none', 'keep_blanks_in_options', 'name_the_nearest_type',
    'check_types_first', 'format_configs_once', 'silence_noise',
    'mend_mixed_precision', 'leave_bfloat16_unscaled', 'set_tf32',
    'allow_checkpoint_classes', 'notice_damaged_checkpoints',
    'write_files_whole', 'find_whole_checkpoint', 'resume_inside_epoch',
    'outlast_full_disks', 'keep_on_resume', 'train_alone', 'launch_on_cpu',
    'refuse_separate_runs', 'shard_any_optimizer', 'save_sharded_state',
    'sync_batchnorm_on_cpu', 'sync_batchnorm_without_waits',
    'log_any_file_name', 'append_to_histories_in_place', 'log_to_mlflow'
]


def test_all_are_reported_with_a_reason():
    compat.apply()
    assert [r.name for r in compat.remedies()] == NAMES
    for remedy in compat.remedies():
        assert isinstance(remedy.in_force, bool) and remedy.why


def test_apply_runs_each_remedy_once(monkeypatch):

    def check_versions():
        raise AssertionError('called again')

    compat.apply()
    before = compat.remedies()
    monkeypatch.setattr(compat, 'check_versions', check_versions)
    compat.apply()
    assert compat.remedies() == before


def test_functions_may_be_called_again(monkeypatch):
    # As after importlib.reload: the marks on the hosts count, not the report.
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel
    from mmengine.registry import Registry
    from mmengine.runner import Runner
    from torch.nn import SyncBatchNorm

    def patched():
        return (SyncBatchNorm.forward, Runner.build_dataloader,
                Runner.setup_env, Runner.from_cfg.__func__, Registry.build,
                utils._init_dist_pytorch, MMDistributedDataParallel.__init__)

    compat.apply()
    before = patched()
    monkeypatch.setattr(compat, '_REPORT', {})
    compat.apply()
    assert patched() == before
    assert len(compat.remedies()) == len(NAMES)


@pytest.mark.slow
def test_imports_no_host_beyond_need():
    from tests.helpers.processes import CPU, run
    code = ('import sys, caco_ext\n'
            'eager = {"mmdet", "mmseg", "mmcls.models", "mmselfsup.models",\n'
            '         "mmselfsup.engine"} & set(sys.modules)\n'
            'assert not eager, eager')
    run(warm_python(), '-c', code, cwd=ROOT, env=CPU)
