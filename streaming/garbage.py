"""Spares Python workers the search for garbage among what they loaded.

PySpark has a worker call ``gc.collect`` after every task. With TensorFlow loaded that takes .18 s:
as long as all that the worker did.
"""

import gc
import sys
from functools import cache


def keep_what_is_loaded() -> None:
    """At the end of a task: what is here when modules were loaded stays, and is not looked at
    again."""
    _freeze(len(sys.modules))


@cache
def _freeze(_modules: int) -> None:
    gc.collect()
    gc.freeze()
