"""A checkpoint with all that a runner of mmengine may write."""
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.logging import MessageHub
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

SCHEDULERS = {
    'ConstantLR': dict(),
    'CosineAnnealingLR': dict(T_max=5),
    'CosineAnnealingMomentum': dict(T_max=5),
    'CosineRestartLR':
    dict(periods=[3, 3], restart_weights=[1, 1], eta_min=0.),
    'ExponentialLR': dict(gamma=0.9),
    'LinearLR': dict(),
    'MultiStepLR': dict(milestones=[1, 3]),
    'OneCycleLR': dict(eta_max=1., total_steps=9),
    'PolyLR': dict(),
    'ReduceOnPlateauLR': dict(monitor='loss'),
    'StepLR': dict(step_size=2),
}
NUMBERS = [
    np.float64(0.5),
    np.float32(0.5),
    np.float16(0.5),
    np.int64(3),
    np.int32(3),
    np.uint8(3),
    np.bool_(True)
]


def scheduler_states():
    """States of all schedulers after three steps."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    states = {}
    for name, kwargs in SCHEDULERS.items():
        if name == 'OneCycleLR':
            # It comes into the state as a method, one for each strategy.
            both = [dict(anneal_strategy=s) for s in ('cos', 'linear')]
        else:
            both = [{}]
        for more in both:
            scheduler = PARAM_SCHEDULERS.build(
                dict(type=name, optimizer=optimizer, **kwargs, **more))
            optimizer.step()
            for step in range(3):
                if 'Plateau' in name:
                    scheduler.step({'loss': float(step)})
                else:
                    scheduler.step()
            states[name, *more.values()] = scheduler.state_dict()
    return states


def checkpoint():
    """All that a runner writes, made by the classes that make it."""
    hub = MessageHub('compat')
    for step in range(3):
        hub.update_scalars({
            f'train/{i}': n
            for i, n in enumerate(NUMBERS[:-1])
        })
        hub.update_scalar('train/loss', torch.tensor(1. / (step + 1)))
    for i, number in enumerate(NUMBERS):
        hub.update_info(f'number{i}', number)
        hub.update_info(f'numbers{i}', np.array([number, number]))
    hub.update_info_dict(dict(best_score=np.float64(71.5), cfg='a = 1'))
    weight = torch.nn.Parameter(torch.ones(2, device=get_device()))
    optim = AmpOptimWrapper(
        optimizer=torch.optim.AdamW([weight], lr=np.float64(0.1)))
    optim.update_params(weight.sum())
    return dict(
        meta=dict(
            epoch=3,
            seed=1,
            cfg='a = 1',
            dataset_meta=ConfigDict(
                classes=('a', 'b'), palette=np.zeros((2, 3), dtype=np.uint8))),
        state_dict=dict(weight=weight.detach()),
        message_hub=hub.state_dict(),
        optimizer=optim.state_dict(),
        param_schedulers=scheduler_states())
