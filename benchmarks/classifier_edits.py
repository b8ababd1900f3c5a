"""Recall by kind of edit and strength: a held-out picture and one edited copy of it.

Every copy that training made of a held-out picture with one edit. A copy is found if the pair is
reported at the shipped threshold; beside it the count alone, at the distance that on the same
held-out pictures has the precision that the shipped threshold has there.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from neardup.batch.pictures import Embedded
from neardup.batch.train import held_out
from neardup.models.calibration import precision_recall, threshold_at
from neardup.models.classifier import Classifier, judged_numpy
from neardup.models.decisions import judge
from neardup.models.hasher import Hasher
from neardup.models.training import Labelled

BANDS = (0.0, 1 / 3, 2 / 3, 1.01)  # weak, middling, strong
ONE_EDIT = re.compile(r"(\w+):([\d.]+)$")

Booleans = npt.NDArray[np.bool_]


def edit_table(
    embedded: Embedded, hasher: Hasher, classifier: Classifier, held: Labelled
) -> list[str]:
    """Lines of a Markdown table, a row a kind of edit; ``held``: all held-out signatures."""
    copies = np.flatnonzero(held_out(embedded.names)[embedded.source])
    made = [ONE_EDIT.match(embedded.edits[copy]) for copy in copies.tolist()]
    single = [i for i, match in enumerate(made) if match]
    rows = copies[single]
    left = hasher.sign(embedded.originals[embedded.source[rows]])
    right = hasher.sign(embedded.edited[rows])
    looks = embedded.original_looks[embedded.source[rows]], embedded.edited_looks[rows]
    bits = np.bitwise_count(left ^ right).sum(axis=1, dtype=np.int64)
    near = bits <= classifier.radius
    seen = (hasher.sign_looks(features) for features in looks)
    found = near & (judged_numpy(classifier, left, right, *seen) >= classifier.threshold)
    counted = bits <= equal_distance(classifier, held)
    names = np.array([match[1] for match in made if match])
    strengths = np.array([float(match[2]) for match in made if match])
    lines = [
        "| edit | copies | weak | middling | strong | all | count alone, all |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in [*sorted(set(names.tolist())), "all"]:
        own = names == name if name != "all" else np.ones(len(names), np.bool_)
        lines.append(_line(name, own, strengths, found, counted))
    return lines


def equal_distance(classifier: Classifier, held: Labelled) -> int:
    """The distance whose precision on ``held`` is that of the shipped threshold."""
    judged = judge(classifier.weights, held)
    near = judged.nearness >= -classifier.radius
    precision, _ = precision_recall(
        judged.score[near], judged.same[near], judged.true_pairs, classifier.threshold
    )
    return int(-threshold_at(judged.nearness, judged.same, precision))


def _line(
    name: str, own: Booleans, strengths: npt.NDArray[np.float64], found: Booleans, counted: Booleans
) -> str:
    bands: Sequence[Booleans] = [
        own & (strengths >= low) & (strengths < high) for low, high in pairwise(BANDS)
    ]
    shares = [f"{found[band].mean():.3f}" if band.any() else "" for band in (*bands, own)]
    return f"| `{name}` | {own.sum():,} | {' | '.join(shares)} | {counted[own].mean():.3f} |"
