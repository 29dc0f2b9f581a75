"""What a step of a pipeline is."""
from abc import ABCMeta, abstractmethod
from typing import Optional


class BaseTransform(metaclass=ABCMeta):
    """A step that changes what a data set knows of one picture.

    It is called as mmcv's steps are, so that both stand in one pipeline; the
    package needs no mmcv of its own.
    """

    def __call__(self, results: dict) -> Optional[dict]:
        """Call :meth:`transform`."""
        return self.transform(results)

    @abstractmethod
    def transform(self, results: dict) -> Optional[dict]:
        """Change ``results``.

        Args:
            results (dict): What is known of the picture.

        Returns:
            dict | None: The same, None to leave the picture out.
        """
