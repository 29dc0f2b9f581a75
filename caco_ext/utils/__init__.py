"""What the command line tools share."""
from .errors import UsageError
from .launch import add_common_arguments, load_config, make_parser, run_tool
from .options import check_options
from .weights import describe_differences

__all__ = [
    'UsageError', 'add_common_arguments', 'check_options',
    'describe_differences', 'load_config', 'make_parser', 'run_tool'
]
