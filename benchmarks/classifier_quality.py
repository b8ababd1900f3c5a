"""How good the bundled classifier is, on labelled pictures and on held-out ones.

Everything stands beside Hamming on the same bits. Pairs beyond the radius count as not reported,
as the stream never asks about them.
"""

import numpy as np
import numpy.typing as npt

from neardup.benchmarks.classifier_data import KINDS, Pictures
from neardup.benchmarks.classifier_floors import Judgement, Recall, floors
from neardup.benchmarks.figures import Figure, figure
from neardup.models.calibration import precision_recall
from neardup.models.classifier import Classifier, with_looks
from neardup.models.decisions import figures as held_out_figures
from neardup.models.decisions import held_out_reliability
from neardup.models.scorer import TensorFlowScorer
from neardup.models.training import hamming_table

DRAWS = 400

Doubles = npt.NDArray[np.float64]


def rows(pictures: Pictures, judgement: Judgement, scores: Doubles) -> list[Figure]:
    """The figures of quality. ``judgement`` of the labelled pictures; ``scores``: ``scored``."""
    classifier = Classifier.load()
    return [
        *at_the_threshold(classifier, judgement, scores),
        *beside_the_floors(classifier, pictures, judgement, scores),
        *held_out(classifier, pictures),
        calibration_error(classifier, pictures),
    ]


def judgement_of(pictures: Pictures, quick: bool, seed: int) -> Judgement:
    """All pairs of the labelled pictures."""
    return Judgement(pictures.labelled.source, 50 if quick else DRAWS, seed)


def scored(pictures: Pictures, judgement: Judgement) -> Doubles:
    """The bundled classifier's score of each labelled pair, float64 [pairs]; -inf beyond the
    radius."""
    classifier = Classifier.load()
    signatures, looks = pictures.labelled.signatures, pictures.labelled.looks
    scores = np.full(len(judgement.left), -np.inf)
    hamming = hamming_table(signatures, signatures)[judgement.left, judgement.right]
    near = np.flatnonzero(hamming <= classifier.radius)
    left, right = judgement.left[near], judgement.right[near]
    bare = TensorFlowScorer(classifier).log_odds(signatures[left], signatures[right])
    scores[near] = with_looks(classifier.weights, bare, looks[left], looks[right])
    return scores


def at_the_threshold(classifier: Classifier, judgement: Judgement, scores: Doubles) -> list[Figure]:
    """At the threshold that the model brings, which saw none of these pictures."""
    same, true_pairs = judgement.same, int(judgement.same.sum())
    precision, recall = precision_recall(scores, same, true_pairs, classifier.threshold)
    trusted = precision_recall(scores, same, true_pairs, classifier.trusted)
    beside = (
        f"{classifier.version}, threshold {classifier.threshold:g}, {true_pairs:,} true pairs; "
        f"at the trusted score {classifier.trusted:g}: {trusted[0]:.4f}, {trusted[1]:.3f}"
    )
    return [
        figure(
            "labelled pictures, at the shipped threshold: precision of a pair",
            "of 1",
            [precision],
            target=">= .99",
            met=precision >= 0.99,
            quality=beside,
        ),
        figure(
            "labelled pictures, at the shipped threshold: recall",
            "of 1",
            [recall],
            target=">= .94",
            met=recall >= 0.94,
        ),
    ]


def beside_the_floors(
    classifier: Classifier, pictures: Pictures, judgement: Judgement, scores: Doubles
) -> list[Figure]:
    """Recall at precision .99 of the classifier and of what needs none, with the same draws."""
    own = judgement.recall(scores)
    values = floors(pictures.labelled_vectors, pictures.hasher, judgement)
    others = {name: judgement.recall(value) for name, value in values.items()}
    best = max(others, key=lambda name: others[name].value)
    return [
        recall_row(
            "the classifier",
            own,
            peer=f"the best floor: {best}",
            peer_value=others[best].value,
            ratio=own.value / others[best].value,
            target=">= .96 and above every floor",
            met=own.value >= 0.96 and own.value > others[best].value,
        ),
        *(
            recall_row(name, other, quality=f"the classifier less this: {_more(own, other)}")
            for name, other in others.items()
        ),
    ]


def recall_row(name: str, recall: Recall, **columns: object) -> Figure:
    """Recall at precision .99; the spread is the interval of the bootstrap over groups."""
    row = figure(
        f"labelled pictures, recall at precision .99 (interval over groups): {name}",
        "of 1",
        [recall.value],
        **columns,
    )
    row.spread = recall.interval
    return row


def _more(own: Recall, other: Recall) -> str:
    low, high = np.quantile(own.draws - other.draws, (0.05, 0.95))
    share = float((own.draws > other.draws).mean())
    more = own.value - other.value
    return f"{more:+.3f} ({low:+.3f} .. {high:+.3f}), more in {share:.0%} of the draws"


def held_out(classifier: Classifier, pictures: Pictures) -> list[Figure]:
    """Held-out pictures of the kinds that it was trained on, and edited copies of them."""
    found = []
    for kind in KINDS:
        held = held_out_figures(classifier, pictures.held_out(kind))
        own, hamming = held["classifier_recall_at_99"], held["hamming_recall_at_99"]
        row = figure(
            f"held-out {kind}, recall at precision .99",
            "of 1",
            [own],
            peer="Hamming",
            peer_value=hamming,
            target="+ .15" if kind == "photos" else None,
            met=own - hamming >= 0.15 if kind == "photos" else None,
            quality=f"{own - hamming:+.3f}; {held['true_pairs']:,} true pairs; at the shipped "
            f"threshold precision {held['threshold_precision']:.4f}, "
            f"recall {held['threshold_recall']:.3f}",
        )
        found.append(row)
    return found


def calibration_error(classifier: Classifier, pictures: Pictures) -> Figure:
    """How far chances can be believed, on held-out pictures of both kinds together."""
    found = held_out_reliability(classifier, [pictures.held_out(kind) for kind in KINDS])
    return figure(
        "expected calibration error on held-out pictures",
        "of 1",
        [found.expected_error],
        target="<= .02",
        met=found.expected_error <= 0.02,
        quality=f"{int(found.pairs.sum()):,} pairs within the radius, {len(found.pairs)} bins",
    )
