"""One evidence for stream and compaction, on the scale that the classifier was calibrated to."""

import numpy as np

from neardup.clusters.evidence import APART, Links, evidence_of
from neardup.models.classifier import Classifier
from neardup.schemas.settings import load_settings


def test_the_evidence_of_the_bundled_classifier() -> None:
    classifier = Classifier.load()
    evidence = evidence_of(classifier, load_settings(None))
    assert evidence.trusted == classifier.trusted > classifier.threshold > evidence.zero == 0
    assert np.isfinite(evidence.table[: APART + 1]).all()
    assert np.isneginf(evidence.table[APART + 1 :]).all()
    assert evidence.table[0] > 0 > evidence.table[APART]


def test_turned_copies_are_not_kept_apart_by_their_bits() -> None:
    turned = load_settings(None, stream={"query_views": ("mirror", "turns")})
    assert np.isfinite(evidence_of(Classifier.load(), turned).table).all()
    mirrored = load_settings(None, stream={"query_views": ("mirror",)})
    assert evidence_of(Classifier.load(), mirrored).apart == APART


def test_a_link_says_its_score_and_any_other_pair_its_distance() -> None:
    evidence = evidence_of(Classifier.load(), load_settings(None))
    bits = np.zeros((3, 1024), np.uint8)
    bits[1, :100], bits[2, :500] = 1, 1
    links = Links(np.array([1]), np.array([0]), np.array([7.5]))
    weights = evidence.inside(np.packbits(bits, axis=1), links)
    assert weights[0, 1] == weights[1, 0] == 7.5
    assert weights[1, 2] == evidence.table[400]
    assert np.isneginf(weights[0, 2])
