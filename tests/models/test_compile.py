"""``torch.compile`` of a whole training step, as the runner does it."""
import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch._dynamo.utils import counters

from tests.helpers.distributed import run_distributed
from tests.helpers.small_models import CONFIGS, NECK, build, pictures

# Half a ResNet-18: following the code of all its blocks takes long.
HALF = dict(
    type='mmcls.ResNet',
    depth=18,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1, ),
    base_channels=8,
    stem_channels=8,
    norm_cfg=dict(type='SyncBN'))
HALF_NECK = dict(NECK, in_channels=16)
OPTIONS = {method: dict(backbone=HALF, neck=HALF_NECK) for method in CONFIGS}
OPTIONS['CARE'].update(
    backbone=dict(HALF, out_indices=(0, 1)),
    attention=dict(
        CONFIGS['CARE']['attention'], in_channels=8, out_channels=16,
        stride=4),
    attention_neck=HALF_NECK)
# Places where the compiled step leaves the graph: start of the pass,
# schedule and update of the key encoder, shuffle and its reverse, head,
# backward pass, optimizer, and the memory's update. Each counts again for
# what is compiled anew in the second step.
MOST_BREAKS = 16


def two_steps(method, backend=None, parallel=False):
    """Losses of two steps, the weights afterwards, and what was compiled.

    Args:
        method (str): Name of the algorithm.
        backend (str, optional): Compile by it. None compiles nothing.
        parallel (bool): Wrap the model for several processes.
    """
    torch._dynamo.reset()
    counters.clear()
    model = build(method, **OPTIONS[method])
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=.1))
    trained = MMDistributedDataParallel(model) if parallel else model
    step = trained.train_step
    if backend:
        step = torch.compile(step, backend=backend)
    losses = [
        float(
            step(
                dict(
                    inputs=pictures(model.num_views, seed=seed),
                    data_samples=None),
                optim_wrapper=wrapper)['loss'].detach()) for seed in range(2)
    ]
    state = {
        name: value.clone()
        for name, value in model.state_dict().items() if torch.is_tensor(value)
    }
    graphs = counters['stats']['unique_graphs']
    return losses, state, graphs, sum(counters['graph_break'].values())


def check(method, plain, compiled):
    assert compiled[0] == pytest.approx(plain[0], rel=1e-4), method
    for name, value in plain[1].items():
        torch.testing.assert_close(
            compiled[1][name],
            value,
            rtol=1e-3,
            atol=1e-4,
            msg=lambda text: f'{method}, {name}: {text}')
    assert plain[2] == 0 and compiled[2] >= 4
    assert compiled[3] <= MOST_BREAKS


@pytest.mark.slow
@pytest.mark.parametrize('method', list(CONFIGS))
def test_a_compiled_step_gives_the_same_numbers(method):
    check(method, two_steps(method), two_steps(method, 'aot_eager'))


def _on_ranks():
    return {
        method:
        (two_steps(method,
                   parallel=True), two_steps(method, 'eager', parallel=True))
        for method in CONFIGS
    }


@pytest.mark.slow
def test_a_compiled_step_on_two_processes():
    for results in run_distributed(_on_ranks, 2, timeout=300):
        for method, (plain, compiled) in results.items():
            check(method, plain, compiled)
