"""What tests of several folders share; fixtures are in ``conftest.py``."""
from pathlib import Path

#: The clone.
ROOT = Path(__file__).parents[2]
