# Copyright (c) caco_ext authors. All rights reserved.
"""Read a file with what one rank of an original program computed."""
import json
from typing import Any, Dict, List, Set, Tuple

import numpy as np
import torch
from torch import Tensor


class Reference:
    """Arrays of one file; records which were read and compared.

    Args:
        path (str): The file.
    """

    def __init__(self, path: str) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.hyper = json.loads(str(self.arrays.pop('hyper')))
        self.errors: Dict[str, Tuple[float, float]] = {}
        self._read: Set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def tensor(self, name: str) -> Tensor:
        """A copy of an array as a tensor."""
        self._read.add(name)
        return torch.from_numpy(self.arrays[name].copy())

    def numbered(self, prefix: str) -> List[Tensor]:
        """``prefix0``, ``prefix1``, ... as far as there are any."""
        found = []
        while f'{prefix}{len(found)}' in self.arrays:
            found.append(self.tensor(f'{prefix}{len(found)}'))
        return found

    def compare(self, name: str, value: Any) -> None:
        """Record the largest difference between ``value`` and an array."""
        wanted = self.tensor(name).double()
        value = torch.as_tensor(value).detach().double().reshape(wanted.shape)
        error = (value - wanted).abs()
        self.errors[name] = (float(error.max()), float(wanted.abs().max()))

    def unread(self) -> List[str]:
        """Arrays that were neither read nor compared."""
        return sorted(set(self.arrays) - self._read)
