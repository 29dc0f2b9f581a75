"""Fixtures of other folders."""
from tests.datasets.conftest import labelled
from tests.visualization.browser import CHROMIUM

__all__ = ['labelled']

# A browser is no Python package, so it cannot be a requirement of the tests.
collect_ignore = [] if CHROMIUM else ['test_in_browser.py']
