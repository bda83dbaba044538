"""Gymnax imported without what only its drawings need.

Two of Gymnax's environments import seaborn and matplotlib.pyplot at their top to draw
themselves, and with them SciPy's statistics and pandas: more than half of the time that
`import metaenvs` would take. They get stand-ins that import the real ones when used; nobody
else ever sees these.
"""

import importlib
import sys
import types
from typing import Any


class _Later(types.ModuleType):
    """Stands for the module of its name until an attribute is asked for."""

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self.__name__), attribute)


if "gymnax" not in sys.modules:
    _stand_ins = {
        name: _Later(name) for name in ("seaborn", "matplotlib.pyplot") if name not in sys.modules
    }
    sys.modules.update(_stand_ins)
    try:
        import gymnax  # noqa: F401
    finally:
        for _name in _stand_ins:
            del sys.modules[_name]
