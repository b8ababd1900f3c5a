"""Scored pairs, judged once more by what their pictures look like: on the driver.

Looks are 24 bytes a pin and decide about pairs that the search found, so they need not travel to
the executors: the driver has them by ordinal (``index.store``).
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.index.store import PinStore, looks_of
from neardup.models.classifier import Classifier, with_looks
from neardup.models.looks import Looks
from neardup.streaming.decide import Decided


def judged_by_looks(
    found: pa.Table,
    decided: Decided,
    store: PinStore,
    classifier: Classifier,
    shadow: Classifier | None,
) -> pa.Table:
    """Rows of LINKS with the scores of pairs of pictures whose looks are known, and what follows.

    ``store`` holds the pins before the batch. A view is judged without: looks are of the picture
    upright.
    """
    own = looks_of([row.get("looks") for row in decided.adds])
    rows = found["query"].to_numpy()
    newer = own[decided.searched.query[rows]]
    newer[decided.searched.view[rows] > 0] = 0
    older = _older(store, own, found["ordinal"].to_numpy())
    score = with_looks(classifier.weights, found["score"].to_numpy(), newer, older)
    columns = {"score": score, "accepted": score >= classifier.threshold}
    if shadow is not None:
        shadowed = found["shadow_score"].to_numpy()
        columns["shadow_score"] = with_looks(shadow.weights, shadowed, newer, older)
    for name, column in columns.items():
        at = found.schema.get_field_index(name)
        found = found.set_column(at, found.schema.field(at), pa.array(column))
    return found


def _older(store: PinStore, own: Looks, ordinals: npt.NDArray[np.int64]) -> Looks:
    """Looks of the older pins uint8 [n, 24]; some of them are of the batch itself."""
    first = len(store)
    looks = np.empty((len(ordinals), own.shape[1]), np.uint8)
    new = ordinals >= first
    looks[new] = own[ordinals[new] - first]
    looks[~new] = store.looks(ordinals[~new])
    return looks
