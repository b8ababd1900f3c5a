"""What looking at keypoints adds: the teacher alone, and where the classifier is in doubt.

The teacher looks at the labelled pairs within its reach; nothing of them was trained on. Farther
pairs count as not reported, and a sample of them says what that loses.
"""

import csv
import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neardup.batch.mine import features_between, features_of
from neardup.benchmarks.classifier_data import Pictures
from neardup.benchmarks.classifier_floors import Judgement
from neardup.benchmarks.classifier_quality import recall_row
from neardup.benchmarks.figures import Figure, figure
from neardup.benchmarks.index_data import data_folder
from neardup.models.calibration import precision_recall
from neardup.models.classifier import Classifier
from neardup.models.comparison import FEATURES
from neardup.models.teacher import TAKEN, Teacher

REACH = 400  # bits
SAMPLE = 2_000  # pairs beyond it
BELOW, ABOVE = 4.0, 4.0  # log-odds about the threshold within which the classifier is in doubt

Doubles = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def rows(pictures: Pictures, judgement: Judgement, scores: Doubles, seed: int) -> list[Figure]:
    """``scores`` float64 [pairs]: the classifier's, -inf beyond its radius."""
    signatures = pictures.labelled.signatures
    hamming = np.bitwise_count(signatures[judgement.left] ^ signatures[judgement.right]).sum(
        axis=1, dtype=np.int64
    )
    near, far = np.flatnonzero(hamming <= REACH), np.flatnonzero(hamming > REACH)
    sample = np.random.default_rng(seed).choice(far, min(SAMPLE, len(far)), replace=False)
    looks = features_of(labelled_files(), np.arange(len(signatures)), os.cpu_count() or 1)
    start = time.perf_counter()
    seen = np.full(len(hamming), -np.inf)
    features = features_between(looks, judgement.left[near], judgement.right[near])
    speed = len(near) / (time.perf_counter() - start)
    teacher = Teacher.load()
    seen[near] = ranked(teacher, features)
    farther = features_between(looks, judgement.left[sample], judgement.right[sample])
    beyond = teacher.probability(farther) >= TAKEN
    return [
        _alone(judgement, seen, near, f"{int(beyond.sum())} of {len(sample):,} farther ones taken"),
        _with_classifier(judgement, scores, seen, beyond=False),
        _with_classifier(judgement, scores, seen, beyond=True),
        figure("pairs a second by the teacher, keypoints known, one thread", "pairs/s", [speed]),
    ]


def labelled_files() -> list[Path]:
    """The labelled pictures in the order of groups.csv."""
    folder = data_folder() / "labelled"
    with (folder / "groups.csv").open(newline="", encoding="utf-8") as lines:
        return [folder / "images" / row["file"] for row in csv.DictReader(lines)]


def ranked(teacher: Teacher, features: Doubles) -> Doubles:
    """The share of the leaf, and within a leaf the agreement of the blocks."""
    agreement = features[:, FEATURES.index("agreement")].clip(0, 1)
    return teacher.probability(features) + agreement / 1000


def checked(
    scores: Doubles, seen: Doubles, threshold: float, beyond: bool = False
) -> tuple[Doubles, Int64]:
    """Scores with the doubtful ones replaced by the teacher's word, and which were in doubt.

    A doubtful pair goes to one end of the band or the other, by what the teacher takes it for.
    ``beyond``: pairs that have no score (-inf) but that the teacher saw are in doubt as well.
    """
    band = (scores >= threshold - BELOW) & (scores < threshold + ABOVE)
    doubtful = np.flatnonzero(band | (beyond & (scores == -np.inf) & (seen > -np.inf)))
    after = scores.copy()
    said = np.where(seen[doubtful] >= TAKEN, threshold + ABOVE, threshold - BELOW)
    after[doubtful] = said + seen[doubtful].clip(0, 2) / 10
    return after, doubtful


def _alone(judgement: Judgement, seen: Doubles, near: Int64, beyond: str) -> Figure:
    same = judgement.same
    precision, recall = precision_recall(seen, same, int(same.sum()), TAKEN)
    return recall_row(
        "the teacher alone",
        judgement.recall(seen),
        quality=f"as it decides: precision {precision:.4f}, recall {recall:.3f}; {len(near):,} "
        f"pairs within {REACH} bits looked at, {beyond}",
    )


def _with_classifier(judgement: Judgement, scores: Doubles, seen: Doubles, beyond: bool) -> Figure:
    classifier, same = Classifier.load(), judgement.same
    after, doubtful = checked(scores, seen, classifier.threshold, beyond)
    precision, recall = precision_recall(after, same, int(same.sum()), classifier.threshold)
    return recall_row(
        "the classifier, the teacher where it is in doubt"
        + (f" and from its radius on up to {REACH} bits" if beyond else ""),
        judgement.recall(after),
        quality=f"as they decide: precision {precision:.4f}, recall {recall:.3f}; "
        f"{len(doubtful):,} pairs in doubt, within {BELOW:g} of the threshold "
        f"{classifier.threshold:g}",
    )
