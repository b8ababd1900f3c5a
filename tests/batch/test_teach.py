"""Pairs of known truth from a dozen real pictures, and a tree learned from them."""

from pathlib import Path

import numpy as np

from neardup.batch.teach import figures, known_pairs, natural, teach
from neardup.models.embed import open_embedder
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.models.teacher import Teacher

PHOTOS = sorted((Path(__file__).parents[2] / "demo" / "photos").glob("*.jpg"))[:12]


def signatures() -> np.ndarray:
    images = [decode(path.read_bytes()) for path in PHOTOS]
    return Hasher.load().sign(open_embedder("mobilenet_v1").embed(images))


def test_pairs_are_of_one_source_or_of_its_look_alikes() -> None:
    signed = signatures()
    pairs = known_pairs(PHOTOS, signed, sources=12, seed=3)
    assert (pairs.same == (pairs.left == pairs.right)).all()
    assert np.bincount(pairs.left).tolist() == [9] * 12  # 4 true, 5 false
    assert pairs.same.sum() == 4 * 12
    for source in range(12):
        apart = np.bitwise_count(signed ^ signed[source]).sum(axis=1, dtype=int)
        apart[source] = 9999
        others = set(pairs.right[(pairs.left == source) & ~pairs.same].tolist())
        assert max(apart[list(others)]) <= np.sort(apart)[1]
    again = known_pairs(PHOTOS, signed, sources=12, seed=3)
    assert (again.features == pairs.features).all() and again.edits == pairs.edits

    taught = teach(pairs)
    learned = figures(taught, pairs)
    assert learned["precision"] > 0.9 and learned["recall"] > 0.9
    assert (teach(again).version) == taught.version

    bundled = figures(Teacher.load(), pairs)
    assert bundled["precision"] > 0.95 and bundled["recall"] > 0.85, bundled


def test_natural_duplicates_are_left_out_with_all_that_was_made_of_them() -> None:
    pairs = known_pairs(PHOTOS, signatures(), sources=6, seed=3)
    bundled = Teacher.load()
    assert not natural(bundled, pairs).any()
    # Two files of one picture under two names: the pair of originals looks like any true pair.
    source = int(pairs.left[0])
    at = np.flatnonzero((pairs.left == source) & pairs.originals)[0]
    other = pairs.right[at]
    pairs.features[at] = pairs.features[pairs.same & (bundled.probability(pairs.features) > 0.9)][0]
    family = ~pairs.same & (
        ((pairs.left == source) & (pairs.right == other))
        | ((pairs.left == other) & (pairs.right == source))
    )
    found = natural(bundled, pairs)
    assert (found == family).all() and found.sum() >= 2
    kept = figures(bundled, pairs, [frozenset((source, int(other)))])
    assert kept["natural_duplicates"] == family.sum()
    assert kept["precision"] > figures(bundled, pairs)["precision"]
