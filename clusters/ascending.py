"""Looking things up in an ascending list: cheap where that is short, as ``numpy.isin`` is not.

Where the list is dense, as ordinals are, a table of all numbers between its ends is faster still.
Where it is not, a table of the numbers' last bits tells most that are not in the list.
"""

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

_DENSE = 8  # a table may hold at most so many numbers for each that is looked up
_SPARSE = 8  # and at least so many for each that is in the list


def place(known: Int64, values: Int64) -> Int64:
    """Where values are in an ascending list, int64; somewhere in it if they are not."""
    if not _is_dense(known, values):
        return np.searchsorted(known, values).clip(max=max(len(known) - 1, 0))
    places = np.zeros(known[-1] - known[0] + 1, np.int64)
    places[known - known[0]] = np.arange(len(known))
    found: Int64 = places[(values - known[0]).clip(0, len(places) - 1)]
    return found


def among(known: Int64, values: Int64) -> npt.NDArray[np.bool_]:
    """Which values are in an ascending list."""
    if not len(known):
        return np.zeros(values.shape, np.bool_)
    if _is_dense(known, values) or values.size < len(known):
        found: npt.NDArray[np.bool_] = known[place(known, values)] == values
        return found
    last_bits = (1 << (_SPARSE * len(known)).bit_length()) - 1
    table = np.zeros(last_bits + 1, np.bool_)
    table[known & last_bits] = True
    found = table[values & last_bits]
    found[found] = known[place(known, values[found])] == values[found]
    return found


def _is_dense(known: Int64, values: Int64) -> bool:
    return len(known) > 0 and int(known[-1]) - int(known[0]) < _DENSE * values.size
