# Copyright (c) caco_ext authors. All rights reserved.
from .algorithms import *  # noqa: F401,F403
from .heads import *  # noqa: F401,F403
from .memories import *  # noqa: F401,F403
from .necks import *  # noqa: F401,F403
