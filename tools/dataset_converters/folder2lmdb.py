"""Copy the pictures of a folder or a list into one LMDB file.

The file serves as data_root of ImageFolder and PhotoPatches. Interrupted, the
same command resumes, or begins anew where a picture has changed meanwhile; at
the end everything is read back and checked.
"""

from caco_ext.datasets.containers.lmdb_writer import LMDBWriter
from caco_ext.datasets.formats import EXTENSIONS
from caco_ext.utils import make_parser


def get_parser():
    """Describe the command line.

    Returns:
        ArgumentParser: Source, target and options.
    """
    parser = make_parser(__doc__)
    parser.add_argument(
        'source',
        help="folder of pictures, or text file with a line 'path' or "
        "'path label' per picture")
    parser.add_argument('target', help='LMDB file to make, ending in .lmdb')
    parser.add_argument(
        '--no-labels',
        action='store_true',
        help='take subfolders as mere folders, and no labels from a list')
    parser.add_argument(
        '--extensions',
        nargs='+',
        default=EXTENSIONS,
        help='endings of picture files')
    parser.add_argument(
        '--quiet', action='store_true', help='show no progress bars')
    return parser


def main():
    """Convert."""
    args = get_parser().parse_args()
    try:
        writer = LMDBWriter(args.source, args.target,
                            False if args.no_labels else None, args.extensions)
        count = writer.write(args.quiet)
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(f'error: {error}')
    except KeyboardInterrupt:
        raise SystemExit('\ninterrupted; the same command resumes')
    print(f'{count} pictures, {len(writer.classes)} classes, read back and '
          f"checked\nuse them with data_root='{args.target}'")


if __name__ == '__main__':
    main()
