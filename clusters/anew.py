"""A fold becomes a generation of its own, whose clusters keep the ids that pins had elsewhere.

For folds that no compaction prepared: of a log whose memberships were damaged, or of a lake that
takes the place of another.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.clusters.fold import NOBODY
from neardup.clusters.generations import announce, generation_row, prepared_generation
from neardup.clusters.identity import history, kept_ids
from neardup.clusters.ledger import Ledger
from neardup.schemas.lake import Lake
from neardup.schemas.tables import CLUSTERS

Int64 = npt.NDArray[np.int64]


class Anew(NamedTuple):
    """``pins`` of a generation and its ``clusters``, of which ``kept`` have an id from before."""

    pins: int
    clusters: int
    kept: int


def publish_fold(lake: Lake, ledger: Ledger, before: Int64, generation: int) -> Anew:
    """Write how the pins of a fold stand as ``generation``, of which there are no rows; publish it.

    ``before`` int64 [versions]: by ordinal the cluster in which a pin was; NOBODY: in none.
    """
    standing = ledger.fold.standing(np.arange(len(ledger.store)))
    live = np.flatnonzero(standing.cluster_ids != NOBODY)
    heads, before = standing.heads[live], before[live]
    ids = kept_ids(before, live, standing.cluster_ids[live], generation)
    columns = {
        "pin_id": ledger.store.pin_ids(live),
        "ordinal": live,
        "cluster_id": ids,
        "head": ledger.store.pin_ids(heads),
        "head_ordinal": heads,
        "generation": np.full(len(live), generation),
        "batch_seq": np.full(len(live), ledger.through),
        "component": pa.nulls(len(live), pa.int64()),
    }
    lake.append("clusters", pa.table(columns, schema=CLUSTERS.schema))
    clusters = len(np.unique(ids))
    figures = {"through_batch_seq": ledger.through, "pins": len(live), "clusters": clusters}
    generation_row(lake, generation, "prepared", **figures)
    prepared = prepared_generation(lake)
    assert prepared is not None and prepared["generation"] == generation
    known = before != NOBODY
    announce(lake, prepared, ledger.through, history(before[known], ids[known]))
    return Anew(len(live), clusters, len(np.intersect1d(before[known], ids)))
