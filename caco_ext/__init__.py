# Copyright (c) caco_ext authors. All rights reserved.
"""AdCo, CaCo, CLSA and CARE for OpenMMLab.

Importing the package mends what is broken in the installed hosts and
registers everything in mmengine's root registries; nothing else happens.
"""
import sys

from . import compat
from .version import __version__

# Before anything of a host is used.
try:
    compat.apply()
except ImportError:
    if sys.argv[:1] != ['-m']:
        raise
    # `python -m caco_ext` asks what is wrong: it gets no stack of calls.
    from .doctor import main
    sys.exit(main())

# The last one imports engine, evaluation and datasets.
from . import models, transfer, visualization  # noqa: E402,F401

__all__ = ['__version__', 'extract_features', 'get_model']


def __getattr__(name: str):
    # Lazily: training needs none of it.
    if name in ('extract_features', 'get_model'):
        from . import apis
        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__():
    return sorted({*globals(), *__all__})
