"""What the driver adds to scored pairs: looks of pins in the log and of the batch's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from neardup.index.store import PinStore
from neardup.models.classifier import Classifier, with_looks
from neardup.models.looks import LOOKS_BYTES
from neardup.streaming.candidates import LINKS, Ended
from neardup.streaming.decide import Decided
from neardup.streaming.looks import judged_by_looks
from neardup.streaming.views import query_rows


def test_pairs_are_judged_by_the_looks_of_both_pins(tmp_path: Path) -> None:
    rng, nobody = np.random.default_rng(2), np.empty(0, np.int64)
    stored = rng.integers(0, 256, (3, LOOKS_BYTES), np.uint8)
    stored[1] = 0  # came without a picture
    store = PinStore(tmp_path)
    store.extend(["a", "b", "c"], np.zeros((3, 128), np.uint8), stored)
    own = rng.integers(0, 256, (2, LOOKS_BYTES), np.uint8)
    adds = [{"looks": own[0].tobytes()}, {"looks": own[1].tobytes()}, {"looks": None}]
    queries = np.zeros((3, 128), np.uint8)
    searched = query_rows(queries, [None, bytes(128), None])  # rows: 0, 1, a view of 1, 2
    decided = Decided([], adds, queries, searched, Ended(nobody, nobody, nobody.astype("i4")))
    pairs = [(0, 0), (0, 1), (1, 2), (1, 3), (2, 0), (3, 0), (3, 4)]
    score = np.linspace(2, 9, len(pairs)).astype(np.float32)
    columns = {
        "query": [query for query, _ in pairs],
        "ordinal": [ordinal for _, ordinal in pairs],
        "overlap": [1] * len(pairs),
        "hamming": [9] * len(pairs),
        "score": score,
        "accepted": [False] * len(pairs),
        "shadow_score": score - 1,
    }
    found = pa.table(columns, schema=LINKS)
    classifier = Classifier.load()
    shadow = replace(classifier, weights={**classifier.weights, "looks": np.array([2.0, 0, 0, 0])})
    judged = judged_by_looks(found, decided, store, classifier, shadow)
    every, newer = np.concatenate([stored, own, 0 * own[:1]]), np.array([0, 0, 1, 1, 1, 2, 2]) + 3
    older = np.array([ordinal for _, ordinal in pairs])
    wanted = with_looks(classifier.weights, score, every[newer], every[older])
    seen = [True, False, True, True, False, False, False]  # a view, and who lacks looks
    np.testing.assert_array_equal(judged["score"].to_numpy(), np.where(seen, wanted, score))
    accepted = judged["score"].to_numpy() >= classifier.threshold
    np.testing.assert_array_equal(judged["accepted"].to_numpy(), accepted)
    shadowed = judged["shadow_score"].to_numpy()
    assert (shadowed != score - 1).tolist() == seen
    assert judged.schema == LINKS and judged["hamming"].equals(found["hamming"])
    alone = judged_by_looks(
        found.set_column(6, LINKS.field(6), pa.nulls(7, pa.float32())),
        decided,
        store,
        classifier,
        None,
    )
    assert alone["score"].equals(judged["score"]) and alone["shadow_score"].null_count == 7
