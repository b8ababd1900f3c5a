"""Links as the log holds them, a list in each row, as flat arrays."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64 = npt.NDArray[np.int64]


class LoggedLinks(NamedTuple):
    """Links of pins to older ones by ordinal, int64 [m], with their log-odds float64 [m]."""

    newer: Int64
    older: Int64
    scores: npt.NDArray[np.float64]

    def where(self, kept: npt.NDArray[np.bool_]) -> "LoggedLinks":
        return LoggedLinks(self.newer[kept], self.older[kept], self.scores[kept])


def logged_links(ordinals: pa.ChunkedArray, links: pa.ChunkedArray) -> LoggedLinks:
    """The links of rows of ``pins``, from these two columns; rows without links may be null."""
    lists = pa.chunked_array(links).combine_chunks()
    flat = pc.list_flatten(lists)
    newer = pc.take(ordinals, pc.list_parent_indices(lists))
    return LoggedLinks(
        newer.to_numpy(),
        flat.field("ordinal").to_numpy(),
        flat.field("score").to_numpy().astype(np.float64),
    )
