"""``python -m caco_ext``: versions, remedies in force, and what is wrong."""
import sys

from .doctor import main

if __name__ == '__main__':
    sys.exit(main())
