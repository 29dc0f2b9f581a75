"""What a step of a pipeline is."""
from abc import ABCMeta, abstractmethod
from typing import Any, Dict, Optional, Sequence, Tuple

# What is known of one picture, and what is to be done to it: the name of an
# operation with its value, or with magnitude and sign (StrongAugment).
Results = Dict[str, Any]
Step = Tuple[Any, ...]
Plan = Sequence[Step]


class BaseTransform(metaclass=ABCMeta):
    """A step that changes what a data set knows of one picture.

    It is called as mmcv's steps are, so that both stand in one pipeline; the
    package needs no mmcv of its own.
    """

    def __call__(self, results: Results) -> Optional[Results]:
        """Call :meth:`transform`."""
        return self.transform(results)

    @abstractmethod
    def transform(self, results: Results) -> Optional[Results]:
        """Change ``results``.

        Args:
            results (dict): What is known of the picture.

        Returns:
            dict | None: The same, None to leave the picture out.
        """

    def __repr__(self) -> str:
        options = ', '.join(f'{name}={value!r}'
                            for name, value in vars(self).items()
                            if not name.startswith('_'))
        return f'{type(self).__name__}({options})'
