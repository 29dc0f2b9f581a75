# Copyright (c) caco_ext authors. All rights reserved.
"""Learning rates and momenta of the configs, over the whole run."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import PARAM_SCHEDULERS

import caco_ext  # noqa: F401
from caco_ext.models.utils import Schedule

CONFIGS = Path(__file__).parents[2] / 'configs/selfsup'


def rates(config, steps, epoch_length=5, scale=1.):
    """Learning rate before each step of a config's schedulers, where
    --auto-scale-lr multiplies it."""
    cfg = Config.fromfile(CONFIGS / config)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))],
                                cfg.optim_wrapper.optimizer.lr * scale)
    schedulers = [
        PARAM_SCHEDULERS.build(
            dict(one),
            default_args=dict(optimizer=optimizer, epoch_length=epoch_length))
        for one in cfg.param_scheduler
    ]
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


# Values of the specification's property 10.
@pytest.mark.parametrize('config, epochs, wanted', [
    ('adco/adco_resnet50_8xb32-asym-coslr-200e_in1k.py', 200, {
        0: .03,
        100: .0153,
        199: .000602
    }),
    ('clsa/clsa_resnet50_8xb32-single-coslr-200e_in1k.py', 200, {
        0: .03,
        100: .015,
        199: 1.85e-6
    }),
    ('caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py', 200, {
        0: .12,
        9: 1.2,
        10: 1.2,
        100: .655,
        199: .01208
    }),
    ('caco/caco_resnet50_32xb128-sym-coslr-200e_in1k.py', 200, {
        0: .48,
        10: 4.8,
        199: .0483
    }),
])
def test_by_epoch(config, epochs, wanted):
    found = rates(config, epochs)
    for epoch, value in wanted.items():
        assert found[epoch] == pytest.approx(value, rel=2e-3), epoch


@pytest.mark.slow
@pytest.mark.parametrize('epochs', [100, 200, 400, 800])
def test_care_by_iteration(epochs):
    import math
    found = rates(f'care/care_resnet50_8xb128-2view-coslr-{epochs}e_in1k.py',
                  epochs * 5)
    warm, total = 50, epochs * 5
    for i, value in enumerate(found):
        if i <= warm:
            wanted = 1e-6 + (0.2 - 1e-6) * i / warm
        else:
            wanted = 0.1 * (1 + math.cos(math.pi * (i - warm) /
                                         (total - warm)))
        assert value == pytest.approx(wanted, abs=1e-9), i


def test_momenta():
    caco = Schedule(0.99, 1.0)
    values = [caco.at(epoch, 200) for epoch in (0, 100, 199)]
    assert values == pytest.approx([0.99, 0.995, 0.999999], abs=4e-7)
    care = Schedule(0.99, 1.0, by_epoch=False)
    assert care.at(0, 50) == pytest.approx(0.99)
    assert care.at(50, 50) == 1.0


def test_bank_rate_warms_up_and_anneals():
    rate = Schedule(3.0, 0.03, warmup=10)
    assert rate.at(0, 200) == pytest.approx(0.3)
    assert rate.at(9, 200) == rate.at(10, 200) == 3.0
    assert rate.at(105, 200) == pytest.approx(1.515)
    constant = Schedule(3.0, warmup=10)
    assert constant.at(150, 200) == 3.0


def test_progress_comes_from_the_runner():
    schedule = Schedule(0.99, 1.0)
    MessageHub.get_instance('without-runner')
    with pytest.raises(RuntimeError, match='needs the length of the run'):
        schedule()
    assert Schedule(0.5)() == 0.5
    hub = MessageHub.get_instance('with-runner')
    hub.update_info_dict(dict(epoch=100, max_epochs=200))
    assert schedule() == pytest.approx(0.995)


def test_warmup_must_not_be_negative():
    with pytest.raises(ValueError, match='warmup=-1 is negative'):
        Schedule(1., warmup=-1)


def test_cacos_floor_follows_the_learning_rate():
    config = 'caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py'
    whole, quarter = rates(config, 200), rates(config, 200, scale=.25)
    assert quarter == pytest.approx([rate / 4 for rate in whole])


def test_cares_small_run_warms_up_from_a_millionth():
    config = 'care/care_resnet18_1xb64-2view-coslr-15e_photopatches.py'
    assert rates(config, 1) == pytest.approx([1e-6])
