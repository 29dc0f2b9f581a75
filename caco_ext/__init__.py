# Copyright (c) caco_ext authors. All rights reserved.
"""AdCo, CaCo, CLSA and CARE for OpenMMLab.

Importing the package mends what is broken in the installed hosts and
registers everything in mmengine's root registries; nothing else happens.
"""
import sys
from typing import Any, List

from . import compat
from .utils.lazy import lazy_attribute
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


def __getattr__(name: str) -> Any:
    # Training needs none of it.
    return lazy_attribute(__name__, dict(apis=__all__[1:]), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
