"""Fixtures of other folders, and files that need what may be absent."""
from pathlib import Path

from tests.conftest import LEFT_OUT
from tests.datasets.conftest import labelled
from tests.test_tools.conftest import call_tool, trained

__all__ = ['call_tool', 'labelled', 'trained']

HERE = Path(__file__).parent
collect_ignore = [str(path) for path in LEFT_OUT if path.parent == HERE]
