"""Which components something happened to since a compaction, and which can stay as they are.

Found from the components that the compaction wrote and from what came after it alone: the links
before it are not read again. What is found may be too much (a pin that has ended since may have
been all that held two parts together), never too little.
"""

import numpy as np
import numpy.typing as npt

from neardup.clusters.components import components
from neardup.clusters.treap import NOBODY

Int64 = npt.NDArray[np.int64]


def touched(before: Int64, newer: Int64, older: Int64, concerned: Int64) -> npt.NDArray[np.bool_]:
    """Which of n pin versions are in a component that something happened to, bool [n].

    ``before`` int64 [n]: by ordinal the component at the compaction, named by one of its pins;
    NOBODY for pins that came later or had ended. ``newer`` and ``older`` int64 [m]: what ties pins
    together since, trusted links and people's words. ``concerned`` int64 [k]: ordinals of pins that
    came, ended, or were spoken of since.
    """
    names = np.where(before == NOBODY, np.arange(len(before)), before)
    roots = components(len(before), names[newer], names[older])[names]
    is_touched = np.zeros(len(before), np.bool_)
    is_touched[roots[concerned]] = True
    return is_touched[roots]
