# Copyright (c) caco_ext authors. All rights reserved.
"""Checks of options that several algorithms and heads have."""
import math

from torch import nn


def check_temperature(value: float,
                      owner: str,
                      usual: str,
                      name: str = 'temperature') -> float:
    """Refuse a temperature that is not a positive number.

    Args:
        value (float): The temperature.
        owner (str): Whose it is, for the message.
        usual (str): Values that serve, for the message.
        name (str): The option's name. Defaults to 'temperature'.

    Returns:
        float: The temperature.

    Raises:
        ValueError: It is not a positive number.
    """
    if not 0 < value < math.inf:
        raise ValueError(
            f'{name}={value} of {owner} must be positive; {usual}')
    return value


def check_weight(value: float, owner: str, usual: str, name: str) -> float:
    """Refuse a weight that would change the sign of a loss.

    Args:
        value (float): The weight.
        owner (str): Whose it is, for the message.
        usual (str): Values that serve, for the message.
        name (str): The option's name.

    Returns:
        float: The weight.

    Raises:
        ValueError: It is negative, infinite or no number.
    """
    if not 0 <= value < math.inf:
        raise ValueError(
            f'{name}={value} of {owner} must not be negative; {usual}')
    return value


def check_view_count(made: int, used: int) -> None:
    """Refuse a pipeline whose number of views is not the model's.

    Args:
        made (int): Views that the pipeline makes of a picture.
        used (int): Views that the model uses.

    Raises:
        ValueError: They differ.
    """
    if made != used:
        raise ValueError(
            f'the pipeline makes {made} views of a picture and the model uses '
            f'{used}; change num_views of the MultiCrop transform, or '
            'query_views, key_views and strong_views of the model')


def output_width(module: nn.Module) -> int:
    """Output channels of a projector or predictor: its last Linear's."""
    return [m for m in module.modules()
            if isinstance(m, nn.Linear)][-1].out_features


def check_memory_width(memory: nn.Module, neck: nn.Module) -> None:
    """Refuse a memory that is not as wide as the features.

    Args:
        memory (nn.Module): Has ``dim``.
        neck (nn.Module): The projector.

    Raises:
        ValueError: They differ.
    """
    width = output_width(neck)
    if width != memory.dim:
        raise ValueError(
            f'memory.dim={memory.dim} does not fit the features of the neck, '
            f'which have {width} channels; set memory.dim={width} or '
            f'neck.out_channels={memory.dim}')


def gradients_wait(module: nn.Module) -> bool:
    """Whether gradients of earlier passes still wait for the optimizer.

    They do while gradients accumulate. If they do not, what a memory still
    has stored belongs to a step that a loss scaler skipped.

    Args:
        module (nn.Module): The model that is trained.

    Returns:
        bool: Whether the first trained parameter has a gradient other than
        None and zero.
    """
    first = next(p for p in module.parameters() if p.requires_grad)
    return first.grad is not None and bool(first.grad.any())
