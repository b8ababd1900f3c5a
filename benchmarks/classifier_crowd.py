"""False pairs among pictures that have nothing to do with each other, a million comparisons.

Nobody looked at the pictures pair by pair. Where they are at hand, the teacher says which of the
reported pairs are false; where only embeddings are, what is reported holds real duplicates too, and
is an upper bound. Comparisons are all pairs of the pictures, those that nothing would ask the
classifier about as well.
"""

import os

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from neardup.benchmarks.classifier_data import KINDS, Pictures
from neardup.benchmarks.classifier_worst import reported
from neardup.benchmarks.figures import Figure, figure
from neardup.benchmarks.index_data import real_embeddings
from neardup.index.hamming import pairs_within
from neardup.models.classifier import Classifier
from neardup.models.scorer import TensorFlowScorer
from neardup.models.teacher import Teacher

QUERIES_AT_ONCE = 1024

Signatures = npt.NDArray[np.uint8]


def rows(pictures: Pictures, quick: bool) -> list[Figure]:
    """For 40,000 pictures of 200 kinds, and the held-out ones of the training's kinds."""
    scorer = TensorFlowScorer(Classifier.load())
    crowd = pictures.hasher.sign(real_embeddings()[: 4_000 if quick else None])
    found = [reported_pairs(scorer, crowd, "small pictures of 200 kinds of things")]
    return [*found, *(false_pairs(scorer.classifier, pictures, kind) for kind in KINDS)]


def false_pairs(classifier: Classifier, pictures: Pictures, kind: str) -> Figure:
    """Pairs of held-out pictures that are reported though the teacher takes them for two."""
    files, codes = pictures.held_out_files(kind)
    pairs = reported(files, codes, classifier, Teacher.load(), os.cpu_count() or 1)
    return figure(
        f"false pairs in a million comparisons: held-out {kind}",
        "pairs",
        [pairs.false_per_million],
        quality=f"{len(files):,} pictures, {pairs.comparisons:,} comparisons, "
        f"{len(pairs.score)} reported, {int(pairs.false.sum())} of them false by the teacher",
    )


def reported_pairs(scorer: TensorFlowScorer, signatures: Signatures, of: str) -> Figure:
    """Pairs of different pictures, uint8 [n, 128], that are reported, in a million."""
    classifier, n = scorer.classifier, len(signatures)
    asked = reported = trusted = 0
    starts = range(0, n, QUERIES_AT_ONCE)
    for start in tqdm(starts, desc=of, unit="k queries", disable=len(starts) < 8):
        some = signatures[start : start + QUERIES_AT_ONCE]
        query, row, _ = pairs_within(some, signatures[start:], classifier.radius)
        newer = row > query
        scores = scorer.log_odds(some[query[newer]], signatures[start:][row[newer]])
        asked += len(scores)
        reported += int((scores >= classifier.threshold).sum())
        trusted += int((scores >= classifier.trusted).sum())
    comparisons = n * (n - 1) // 2
    return figure(
        f"pairs reported in a million comparisons: {of}",
        "pairs",
        [1e6 * reported / comparisons],
        quality=f"{n:,} pictures, {comparisons:,} comparisons, {asked:,} within "
        f"{classifier.radius} bits, {reported:,} reported, {trusted:,} trusted; real duplicates "
        "are among them",
    )
