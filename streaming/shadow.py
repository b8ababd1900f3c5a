"""Where two classifiers disagree: pairs that one links and the other does not.

A shadow scores the pairs that the deciding classifier scores, so it is heard about what is within
that one's radius. It changes no link.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.models.classifier import Classifier
from neardup.schemas.tables import DISAGREEMENTS


def disagreements(
    jobs: Sequence[pa.Table],
    newer: npt.NDArray[np.int64],
    classifier: Classifier,
    shadow: Classifier,
    batch_seq: int,
) -> pa.Table:
    """Rows of the table `disagreements`, by (ordinal, other).

    ``jobs``: what the executors found, rows of ``candidates.LINKS``; ``newer`` int64 [r]: the
    ordinal of the pin that each searched row belongs to. A pair that was met in several views is
    judged by its nearest one.
    """
    found = pa.concat_tables(jobs)
    columns = {name: found[name].to_numpy() for name in found.column_names}
    ordinal = newer[columns["query"]]
    order = np.lexsort((columns["hamming"], columns["ordinal"], ordinal))
    pairs = np.stack([ordinal, columns["ordinal"]])[:, order]
    nearest = order[np.diff(pairs, prepend=-1).any(axis=0)]
    linked = columns["accepted"][nearest]
    apart = nearest[linked != (columns["shadow_score"][nearest] >= np.float32(shadow.threshold))]
    rows = {
        "ordinal": ordinal[apart],
        "other": columns["ordinal"][apart],
        "hamming": columns["hamming"][apart],
        "model": [classifier.version] * len(apart),
        "score": columns["score"][apart],
        "linked": columns["accepted"][apart],
        "shadow": [shadow.version] * len(apart),
        "shadow_score": columns["shadow_score"][apart],
        "batch_seq": np.full(len(apart), batch_seq),
    }
    return pa.table(rows, schema=DISAGREEMENTS.schema)
