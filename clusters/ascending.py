"""Looking things up in an ascending list: cheap where that is short, as ``numpy.isin`` is not."""

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


def place(known: Int64, values: Int64) -> Int64:
    """Where values are in an ascending list, int64; somewhere in it if they are not."""
    return np.searchsorted(known, values).clip(max=max(len(known) - 1, 0))


def among(known: Int64, values: Int64) -> npt.NDArray[np.bool_]:
    """Which values are in an ascending list."""
    if not len(known):
        return np.zeros(values.shape, np.bool_)
    found: npt.NDArray[np.bool_] = known[place(known, values)] == values
    return found
