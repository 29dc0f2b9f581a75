"""Fixtures of other folders."""
from tests.datasets.conftest import labelled

__all__ = ['labelled']
