"""Number formats: loss scalers and TF32."""
import pytest
import torch
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner

import caco_ext  # noqa: F401


def wrapper(**options):
    weight = torch.nn.Parameter(torch.ones(3))
    return OPTIM_WRAPPERS.build(
        dict(
            type='AmpOptimWrapper',
            optimizer=torch.optim.SGD([weight], lr=0.5),
            **options))


@pytest.mark.parametrize('options, enabled', [
    (dict(dtype='bfloat16'), False),
    (dict(dtype=torch.bfloat16, loss_scale='dynamic'), False),
    (dict(dtype='float16'), True),
    (dict(), True),
    (dict(dtype='bfloat16', loss_scale=128.), True),
    (dict(dtype='bfloat16', loss_scale=dict(init_scale=2.)), True),
])
def test_only_bfloat16_is_not_scaled(options, enabled):
    built = wrapper(**options)
    assert isinstance(built, AmpOptimWrapper)
    assert built.loss_scaler.is_enabled() == enabled
    assert built.cast_dtype == (
        torch.bfloat16 if 'bfloat16' in str(options.get('dtype')) else
        torch.float16 if options else None)


def test_a_scaler_that_is_off_reads_the_state_of_another():
    """As where a run in float16 is continued in bfloat16."""
    state = wrapper().state_dict()
    assert state['loss_scaler']['scale'] == 2.**16
    built = wrapper(dtype='bfloat16')
    built.load_state_dict(state)
    assert built.state_dict()['loss_scaler'] == {}


@pytest.fixture
def tf32():
    """Callable: The two settings of torch, which are put back."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = cudnn.allow_tf32, matmul.allow_tf32
    yield lambda: (cudnn.allow_tf32, matmul.allow_tf32)
    cudnn.allow_tf32, matmul.allow_tf32 = before


def run(work_dir, **env_cfg):
    return Runner(
        torch.nn.Linear(1, 1),
        str(work_dir),
        env_cfg=env_cfg,
        experiment_name=f'tf32 {env_cfg}')


@pytest.mark.parametrize('where, expected', [('all', (True, True)),
                                             ('none', (False, False)),
                                             ('convolutions', (True, False))])
def test_tf32_is_what_the_config_says(tmp_path, tf32, where, expected):
    run(tmp_path, tf32=where)
    assert tf32() == expected
    run(tmp_path)  # changes nothing
    assert tf32() == expected


def test_unknown_tf32(tmp_path):
    with pytest.raises(ValueError, match="env_cfg.tf32=True is unknown; use "):
        run(tmp_path, tf32=True)
