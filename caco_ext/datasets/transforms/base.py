"""Base class of the steps of a pipeline."""
from abc import ABCMeta, abstractmethod
from typing import Any, Dict, Optional, Sequence, Tuple

# What is known of one picture, and what is to be done to it: the name of an
# operation with its value, or with magnitude and sign (StrongAugment).
Results = Dict[str, Any]
Step = Tuple[Any, ...]
Plan = Sequence[Step]


class BaseTransform(metaclass=ABCMeta):
    """A step of a pipeline, which changes the data of one picture.

    It is called like mmcv's transforms, so one pipeline can hold both. The
    package itself does not need mmcv.
    """

    def __call__(self, results: Results) -> Optional[Results]:
        """Call :meth:`transform`."""
        return self.transform(results)

    @abstractmethod
    def transform(self, results: Results) -> Optional[Results]:
        """Change ``results``.

        Args:
            results (dict): Data of the picture.

        Returns:
            dict | None: The changed data; None skips the picture.
        """

    def __repr__(self) -> str:
        options = ', '.join(f'{name}={value!r}'
                            for name, value in vars(self).items()
                            if not name.startswith('_'))
        return f'{type(self).__name__}({options})'
