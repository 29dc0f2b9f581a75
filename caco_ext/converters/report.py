# Copyright (c) caco_ext authors. All rights reserved.
"""What a checkpoint is, and what became of each of its entries."""
from dataclasses import dataclass, field
from typing import Dict, List, Tuple

from .official import Official


@dataclass
class Report:
    """What became of each entry of a file.

    Attributes:
        title (str): What the file is, in a line.
        used (list[tuple[str, str]]): Name in the file and in the result.
        dropped (list[tuple[str, str]]): Name in the file and the reason.
        added (list[tuple[str, str]]): Name in the result and where its value
            is from.
        notes (list[str]): What the user should know.
    """
    title: str = ''
    used: List[Tuple[str, str]] = field(default_factory=list)
    dropped: List[Tuple[str, str]] = field(default_factory=list)
    added: List[Tuple[str, str]] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)

    def text(self) -> str:
        """A summary for people; entries of one module share a line.

        Returns:
            str: Several lines.
        """
        lines = [self.title, f'used: {len(self.used)} entries']
        groups: Dict[Tuple[str, str], List[str]] = {}
        for name, reason in self.dropped:
            # by encoder, and by module in it
            head = '.'.join(name.removeprefix('module.').split('.')[:2])
            head = head.split('.layer')[0]
            groups.setdefault((head, reason), []).append(name)
        for (head, reason), names in groups.items():
            what = names[0] if len(
                names) == 1 else f'{head}* ({len(names)} entries)'
            lines.append(f'dropped: {what}: {reason}')
        lines += [f'added: {name}: {why}' for name, why in self.added]
        return '\n'.join([*lines, *(f'note: {note}' for note in self.notes)])


def describe(official: Official) -> str:
    """What a file is, in a line."""
    method = official.method
    name = 'AdCo, CaCo or CLSA' if method == 'maple' else {
        'adco': 'AdCo',
        'caco': 'CaCo',
        'clsa': 'CLSA',
        'care': 'CARE'
    }[method]
    kind = 'linear probe' if official.probe else 'pre-training'
    epoch = 'an unknown number of' if official.epoch is None else (
        official.epoch)
    return (f'{kind} of {name}, {official.architecture.name}, {epoch} '
            f'epochs, {len(official.tensors())} tensors')
