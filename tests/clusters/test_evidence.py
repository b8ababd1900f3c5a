"""One evidence for stream and compaction, on the scale that the classifier was calibrated to."""

import numpy as np

from neardup.clusters.evidence import APART, UNSEEN, Evidence, Links, evidence_of
from neardup.models.classifier import Classifier
from neardup.schemas.settings import load_settings


def test_the_evidence_of_the_bundled_classifier() -> None:
    classifier = Classifier.load()
    evidence = evidence_of(classifier, load_settings(None))
    assert evidence.trusted == classifier.trusted > classifier.threshold > evidence.zero == 0
    assert evidence.unseen == UNSEEN > evidence.trusted
    assert np.isfinite(evidence.table[: APART + 1]).all()
    assert np.isneginf(evidence.table[APART + 1 :]).all()
    assert evidence.table[0] > 0 > evidence.table[APART]


def test_a_link_that_no_looks_judged_has_a_bar_of_its_own() -> None:
    scores, seen = np.array([2.0, 3.0, 3.0, 7.0, 7.0]), np.array([True, True, False, False, True])
    evidence = Evidence(np.zeros(1025, np.float32), trusted=3.0, unseen=7.0)
    assert evidence.trusts(scores, seen).tolist() == [False, True, False, True, True]
    alike = Evidence(np.zeros(1025, np.float32), trusted=3.0)
    assert alike.trusts(scores, seen).tolist() == [False, True, True, True, True]


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
