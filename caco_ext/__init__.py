# Copyright (c) caco_ext authors. All rights reserved.
"""AdCo, CaCo, CLSA and CARE for OpenMMLab.

Importing the package fixes defects of the installed hosts and registers
everything in mmengine's root registries. Nothing else happens.
"""
import sys
from typing import Any, List

from . import compat
from .utils.lazy import lazy_attribute
from .version import __version__

# Before any host is used.
try:
    compat.apply()
except ImportError:
    if sys.argv[:1] != ['-m']:
        raise
    # `python -m caco_ext` should say what is wrong, without a traceback.
    from .doctor import main
    sys.exit(main())

# The last one imports engine, evaluation and datasets.
from . import models, transfer, visualization  # noqa: E402,F401

__all__ = ['__version__', 'extract_features', 'get_model']


def __getattr__(name: str) -> Any:
    # Imported on first use, as training does not need it.
    return lazy_attribute(__name__, dict(apis=__all__[1:]), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
