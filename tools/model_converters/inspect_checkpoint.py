"""Say what a checkpoint is: method, depth, epoch, parts, versions, hash."""
import argparse

# Importing the package allows torch to read mmengine's checkpoints.
import caco_ext  # noqa: F401
from caco_ext.converters import add_source_arguments
from caco_ext.converters.inspection import inspect
from caco_ext.utils import UsageError


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('file', help='any checkpoint')
    add_source_arguments(parser, prefix=False)
    return parser


def main() -> None:
    """Print ten lines."""
    args = get_parser().parse_args()
    try:
        print('\n'.join(inspect(args.file, args.trust)))
    except (UsageError, OSError) as error:
        raise SystemExit(f'error: {error}')


if __name__ == '__main__':
    main()
