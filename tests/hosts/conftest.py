"""What runs where: tools/run_tests.sh --host names these files."""
import importlib.util
import os

collect_ignore = []
if importlib.util.find_spec('mmpretrain') is None:
    collect_ignore += ['test_mmpretrain.py', 'test_own_trainer.py']
# The Python of the environment with mmselfsup, set by tools/run_tests.sh.
if 'MMSELFSUP_PYTHON' not in os.environ:
    collect_ignore.append('test_two_hosts.py')
