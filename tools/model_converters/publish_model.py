"""Strip a checkpoint, name it CONFIG_DATE-HASH.pth and enter it in the zoo.

    publish_model.py CONFIG SRC FOLDER --url https://HOST/FOLDER
        --metafile configs/selfsup/caco/metafile.yml
"""
import argparse
import datetime

import yaml

# Importing the package allows torch to read mmengine's checkpoints.
import caco_ext  # noqa: F401
from caco_ext.converters.exports import enter, publish, zoo_entry
from caco_ext.utils import UsageError, make_parser


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='config the model was trained with')
    parser.add_argument('src', help='its checkpoint')
    parser.add_argument('folder', help='where to write the stripped one')
    parser.add_argument(
        '--part',
        choices=('full', 'backbone'),
        default='full',
        help='all weights or the backbone, default: full')
    parser.add_argument(
        '--date',
        default=datetime.date.today().strftime('%Y%m%d'),
        help='for the name, YYYYMMDD, default: today')
    parser.add_argument(
        '--url', help='folder on the web where the file will be')
    parser.add_argument(
        '--metafile', help='enter the model there, default: print the entry')
    return parser


def main() -> None:
    """Publish and say what was done."""
    args = get_parser().parse_args()
    try:
        path = publish(args.config, args.src, args.folder, args.date,
                       args.part)
        print(f'written: {path}')
        entry = zoo_entry(args.config, path, args.url)
        if args.metafile:
            print(enter(entry, args.metafile))
        else:
            print(yaml.safe_dump([entry], sort_keys=False), end='')
    except (UsageError, OSError) as error:
        raise SystemExit(f'error: {error}')


if __name__ == '__main__':
    main()
