"""What the command line tools share."""
from .launch import UsageError, add_common_arguments, load_config, run_tool
from .options import check_options

__all__ = [
    'UsageError', 'add_common_arguments', 'check_options', 'load_config',
    'run_tool'
]
