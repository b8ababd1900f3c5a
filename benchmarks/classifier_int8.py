"""What weights of 8 bits gain and cost: the net of about 10M parameters, trained, run by LiteRT."""

import time

import numpy as np
from sklearn.metrics import roc_auc_score

from neardup.benchmarks.classifier_data import KINDS, Pictures
from neardup.benchmarks.classifier_speed import drawn_pairs
from neardup.benchmarks.figures import Figure, compared
from neardup.benchmarks.index_peers import alternate
from neardup.models.calibration import precision_recall, threshold_at
from neardup.models.feed_forward import (
    BATCH,
    REFERENCE,
    FeedForward,
    FeedForwardScorer,
    train_feed_forward,
)
from neardup.models.int8 import Int8Scorer, converted
from neardup.models.training import REACH, Labelled, pairs_within, training_pairs


def reference_net(pictures: Pictures, quick: bool, seed: int) -> FeedForward:
    """The net, trained on an eighth of the pictures that are not held out; quick: on a part."""
    parts = [pictures.learned(kind) for kind in KINDS[: 1 if quick else None]]
    learned = one_after_the_other(parts)
    pairs = training_pairs(learned, seed)
    keep = np.random.default_rng(seed).permutation(len(pairs.same))[: 10_000 if quick else 60_000]
    return train_feed_forward(learned, pairs.take(keep), REFERENCE, epochs=1, seed=seed)


def rows(net: FeedForward, pictures: Pictures, quick: bool, seed: int) -> list[Figure]:
    """Pairs a second in 8 bits beside float32, and what both do on the labelled pictures."""
    exact, rounded = FeedForwardScorer(net), Int8Scorer(converted(net))
    pairs = drawn_pairs(4 * BATCH, seed)
    rounded.log_odds(*pairs)
    ours, theirs = alternate(
        3 if quick else 7,
        lambda _: rounded.log_odds(*pairs),
        lambda _: exact.log_odds(*pairs),
        clock=time.process_time,
    )
    held = pictures.labelled
    near = pairs_within(held, REACH)
    left, right = held.signatures[near.left], held.signatures[near.right]
    scores = [scorer.log_odds(left, right).astype(np.float64) for scorer in (rounded, exact)]
    areas = [float(roc_auc_score(near.same, score)) for score in scores]
    true_pairs = int((np.bincount(held.source) * (np.bincount(held.source) - 1) // 2).sum())
    recalls = [
        precision_recall(score, near.same, true_pairs, threshold_at(score, near.same, 0.99))[1]
        for score in scores
    ]
    row = compared(
        "net of 9.8M parameters with weights of 8 bits (LiteRT)",
        "pairs/s",
        [len(pairs[0]) / s for s in ours],
        "float32 in TensorFlow",
        [len(pairs[0]) / s for s in theirs],
        target="ratio >= 2, loss of AUC <= .001",
        quality=f"AUC over {len(near.same):,} labelled pairs within {REACH} bits: {areas[0]:.4f}, "
        f"float32 {areas[1]:.4f}; recall at precision .99: {recalls[0]:.3f}, {recalls[1]:.3f}",
    )
    row.met = row.ratio is not None and row.ratio >= 2 and areas[1] - areas[0] <= 0.001
    return [row]


def one_after_the_other(parts: list[Labelled]) -> Labelled:
    """Several sets as one; their sources are told apart."""
    firsts = np.cumsum([0, *(int(part.source.max()) + 1 for part in parts)])
    return Labelled(
        np.concatenate([part.signatures for part in parts]),
        np.concatenate([part.looks for part in parts]),
        np.concatenate([part.source + first for part, first in zip(parts, firsts, strict=False)]),
        np.concatenate([part.edits for part in parts]),
        np.concatenate(
            [
                part.doubtful + (first << 32 | first)
                for part, first in zip(parts, firsts, strict=False)
            ]
        ),
    )
