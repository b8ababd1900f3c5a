"""What the bench of the classifier counts, on small cases that can be counted by hand."""

import numpy as np

from neardup.benchmarks.classifier_crowd import reported_pairs
from neardup.benchmarks.classifier_int8 import one_after_the_other
from neardup.benchmarks.classifier_stream import pairs_a_link
from neardup.models.classifier import Classifier, log_odds_numpy
from neardup.models.looks import LOOKS_BYTES
from neardup.models.scorer import TensorFlowScorer
from neardup.models.training import Labelled, pair_keys


def test_every_pair_of_different_pictures_is_compared_once() -> None:
    rng = np.random.default_rng(1)
    signatures = rng.integers(0, 256, (1500, 128), np.uint8)  # more than are taken at once
    signatures[7], signatures[1400] = signatures[3], signatures[3]
    signatures[1400, 0] ^= 1
    classifier = Classifier.load()
    row = reported_pairs(TensorFlowScorer(classifier), signatures, "nothing")
    left, right = np.triu_indices(1500, 1)
    near = np.bitwise_count(signatures[left] ^ signatures[right]).sum(axis=1) <= classifier.radius
    scores = log_odds_numpy(classifier, signatures[left[near]], signatures[right[near]])
    reported = int((scores >= classifier.threshold).sum())
    assert reported == 3
    assert row.value == 1e6 * reported / len(left)


def test_sets_that_are_joined_keep_their_sources_and_doubts_apart() -> None:
    one = labelled([0, 0, 1, 2], doubts=[(1, 2)])
    other = labelled([0, 1, 1], doubts=[(0, 1)])
    both = one_after_the_other([one, other])
    assert both.source.tolist() == [0, 0, 1, 2, 3, 4, 4]
    expected = pair_keys(np.array([1, 3]), np.array([2, 4]))
    assert both.doubtful.tolist() == expected.tolist()


def labelled(sources: list[int], doubts: list[tuple[int, int]]) -> Labelled:
    source = np.array(sources)
    keys = pair_keys(*np.array(doubts).T)
    codes = np.zeros((len(source), 128), np.uint8)
    return Labelled(codes, codes[:, :LOOKS_BYTES], source, np.zeros_like(source), keys)


def test_pairs_scored_for_a_link() -> None:
    row = pairs_a_link("these", {"pairs_scored": 10, "links": 4, "images": 9})
    assert (row.value, row.met) == (2.5, True)
    assert pairs_a_link("those", {"pairs_scored": 13, "links": 4, "images": 9}).met is False
