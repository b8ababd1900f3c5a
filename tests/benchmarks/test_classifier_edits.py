"""The table of recall by edit: a row an edit, shares by thirds of the strength."""

import numpy as np

from neardup.batch.pictures import Embedded
from neardup.batch.train import held_out, signed
from neardup.benchmarks.classifier_edits import edit_table, equal_distance
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.models.pixels import FEATURES


def test_what_moves_a_picture_far_is_not_found() -> None:
    hasher, classifier = Hasher.load(), Classifier.load()
    names = [f"{i}.jpg" for i in range(400)]
    rng = np.random.default_rng(1)
    originals = rng.gamma(0.3, 1, (400, 1024)).astype(np.float32)
    source = np.repeat(np.arange(400), 3)
    edits = ["blur:0.10", "crop:0.90", "blur:0.20+crop:0.90"] * 400
    spread = np.tile([0.01, 9.0, 0.01], 400)[:, None]
    edited = originals[source] + spread * rng.normal(0, 1, (1200, 1024))
    looks = np.zeros((1600, FEATURES), np.int16)
    vectors = originals, edited.astype(np.float32), source
    embedded = Embedded(names, np.zeros(400, np.int64), *vectors, edits, looks[:400], looks[400:])
    held = held_out(names)
    labelled = signed(hasher, embedded, None)
    kept = labelled.take(held[labelled.source])
    lines = edit_table(embedded, hasher, classifier, kept)
    count = int(held.sum())
    assert lines[2:] == [
        f"| `blur` | {count} | 1.000 |  |  | 1.000 | 1.000 |",
        f"| `crop` | {count} |  |  | 0.000 | 0.000 | 0.000 |",
        f"| `all` | {2 * count} | 1.000 |  | 0.000 | 0.500 | 0.500 |",
    ]
    assert 0 < equal_distance(classifier, kept) < 512
