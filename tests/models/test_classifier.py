"""One score for a pair, whoever computes it, in whatever batch; and artifacts that fit together."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.models.bundle import verify_artifacts
from neardup.models.classifier import BITS, BUNDLED, Classifier, log_odds_numpy
from neardup.models.hasher import Hasher
from neardup.models.scorer import LoadingScorer, TensorFlowScorer
from neardup.schemas.errors import ArtifactError
from neardup.schemas.settings import ModelSettings


@pytest.fixture(scope="module")
def bundled() -> Classifier:
    return Classifier.load()


@pytest.fixture(scope="module")
def scorer(bundled: Classifier) -> TensorFlowScorer:
    return TensorFlowScorer(bundled)


def pairs(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs with 0 to 512 differing bits; every seventh is identical."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 256, (count, 128), dtype=np.uint8)
    flips = rng.random((count, BITS)) < rng.uniform(0, 0.5, (count, 1))
    flips[::7] = False
    return left, left ^ np.packbits(flips, axis=1)


def score_in_python(classifier: Classifier, left: np.ndarray, right: np.ndarray) -> float:
    """The oracle: one pair, whole numbers of any size, nothing to round but the end."""
    intercept, slope, pull, identical = classifier.weights["count"].tolist()
    lens = classifier.weights["lens"].tolist()
    sides = [[1 if bit else -1 for bit in np.unpackbits(side).tolist()] for side in (left, right)]
    hamming = sum(a != b for a, b in zip(*sides, strict=True))
    columns = list(zip(*lens, strict=True))
    seen = [
        [sum(a * b for a, b in zip(side, column, strict=True)) for column in columns]
        for side in sides
    ]
    near = 0
    for side in (left, right):
        distances = [int(np.bitwise_count(side ^ one).sum()) for one in classifier.weights["crowd"]]
        near += sum(sorted(distances)[2:10])
    score = intercept - slope * hamming + pull * near
    score = min(identical, score + sum(a * b for a, b in zip(*seen, strict=True)))
    return float(np.float32((score if hamming else identical) * float(classifier.weights["unit"])))


def test_numpy_gives_the_scores_of_the_oracle(bundled: Classifier) -> None:
    left, right = pairs(1, 9)
    expected = [score_in_python(bundled, a, b) for a, b in zip(left, right, strict=True)]
    assert log_odds_numpy(bundled, left, right).tolist() == expected


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 80))
@settings(max_examples=15, deadline=None)
def test_tensorflow_gives_the_bits_of_numpy(seed: int, count: int) -> None:
    left, right = pairs(seed, count)
    scores = _shared_scorer().log_odds(left, right)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, log_odds_numpy(_shared_scorer().classifier, left, right))


_scorers: list[TensorFlowScorer] = []


def _shared_scorer() -> TensorFlowScorer:
    if not _scorers:
        _scorers.append(TensorFlowScorer(Classifier.load()))
    return _scorers[0]


def test_no_pair_waits_for_tensorflow(
    bundled: Classifier, scorer: TensorFlowScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numpy answers while it loads, with the same bits; it begins once numpy has taken as long."""
    begun, may_load = threading.Event(), threading.Event()

    def load(classifier: Classifier) -> TensorFlowScorer:
        begun.set()
        assert may_load.wait(60)
        return scorer

    monkeypatch.setattr("neardup.models.scorer.TensorFlowScorer", load)
    left, right = pairs(5, 200)
    different = int((left != right).any(axis=1).sum())
    loading, before = LoadingScorer(bundled, load_seconds=1e-6), scorer.scored
    assert not begun.is_set()
    first = loading.log_odds(left, right)
    assert begun.wait(60), "it begins without being asked for"
    np.testing.assert_array_equal(loading.log_odds(left, right), first)
    assert scorer.scored == before
    may_load.set()
    assert loading.loaded() is scorer
    np.testing.assert_array_equal(loading.log_odds(left, right), first)
    assert scorer.scored == before + different > before


def test_who_asks_for_tensorflow_has_it(
    bundled: Classifier, scorer: TensorFlowScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, however often; who does not, and has few pairs, never pays for it."""
    calls = []
    monkeypatch.setattr(
        "neardup.models.scorer.TensorFlowScorer", lambda one: calls.append(one) or scorer
    )
    loading = LoadingScorer(bundled)
    loading.log_odds(*pairs(5, 200))
    assert not calls
    assert loading.loaded() is loading.loaded() is scorer
    assert calls == [bundled]


@pytest.mark.parametrize("batch", [1, 7, 33, 1024, 5000])
def test_batching_changes_no_bit(bundled: Classifier, scorer: TensorFlowScorer, batch: int) -> None:
    left, right = pairs(2, 2100)
    scores = scorer.log_odds(left, right)
    if batch < 100:
        left, right, scores = left[:200], right[:200], scores[:200]
    again = TensorFlowScorer(bundled, batch).log_odds(left, right)
    np.testing.assert_array_equal(again, scores)


def test_position_and_company_change_no_bit(scorer: TensorFlowScorer) -> None:
    left, right = pairs(3, 1500)
    scores = scorer.log_odds(left, right)
    order = np.random.default_rng(4).permutation(1500)
    np.testing.assert_array_equal(scorer.log_odds(left[order], right[order]), scores[order])
    for row in (1, 700, 1499):
        alone = scorer.log_odds(left[row : row + 1], right[row : row + 1])
        assert alone[0] == scores[row]


def test_left_and_right_may_change_places(bundled: Classifier, scorer: TensorFlowScorer) -> None:
    left, right = pairs(5, 300)
    for score in (scorer.log_odds, lambda a, b: log_odds_numpy(bundled, a, b)):
        np.testing.assert_array_equal(score(left, right), score(right, left))


def test_identical_signatures_have_one_high_score(bundled: Classifier) -> None:
    left, right = pairs(6, 70)
    scores = log_odds_numpy(bundled, left, right)
    assert len(set(scores[::7].tolist())) == 1
    assert scores[0] > bundled.trusted
    assert scores[0] == scores.max()


def test_a_chance_is_even_where_the_card_says(bundled: Classifier) -> None:
    scores = np.array([bundled.even, bundled.even + 1, bundled.threshold], np.float32)
    chances = bundled.probability(scores)
    assert chances[0] == pytest.approx(0.5, abs=1e-6)
    assert chances[1] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert chances[2] > 0.9


def test_no_pair_is_surer_than_an_identical_one() -> None:
    rng = np.random.default_rng(9)
    made = Classifier.from_arrays(
        {
            **Classifier.load().to_arrays(),
            "lens": rng.integers(-127, 128, (BITS, 8)).astype("|i1"),
            "count": np.array([2**30, 2**10, 1, 2**31], "<i8"),
        }
    )
    left = rng.integers(0, 256, (40, 128), dtype=np.uint8)
    right = left.copy()
    right[1:, 0] ^= 1
    scores = log_odds_numpy(made, left, right)
    assert (scores <= scores[0]).all()
    np.testing.assert_array_equal(TensorFlowScorer(made, 16).log_odds(left, right), scores)


def test_decisions_are_ordered(bundled: Classifier) -> None:
    assert bundled.even < bundled.threshold <= bundled.trusted
    table = bundled.hamming_log_odds
    assert (np.diff(table) <= 0).all()
    assert table[0] > 0 > table[BITS // 2]


def test_arrays_round_trip(bundled: Classifier) -> None:
    again = Classifier.from_arrays(bundled.to_arrays())
    assert again.version == bundled.version
    left, right = pairs(8, 20)
    np.testing.assert_array_equal(
        log_odds_numpy(again, left, right), log_odds_numpy(bundled, left, right)
    )


def test_another_hasher_is_refused(bundled: Classifier) -> None:
    bundled.check_hasher(Hasher.load().version)
    with pytest.raises(ArtifactError, match="not other-1"):
        bundled.check_hasher("other-1")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("lens", np.full((BITS, 64), -128, "|i1"), "beyond 127"),
        ("lens", np.zeros((2 * BITS, 64), "|i1"), "lens is"),
        ("lens", np.zeros((BITS, 64), "<f4"), "lens is float32"),
        ("lens", np.zeros((BITS, 1025), "|i1"), "1 to 1024"),
        ("count", np.full(4, 2**40, "<i8"), "beyond 137438953472"),
        ("crowd", np.zeros((20, 64), "|u1"), "crowd is"),
        ("hamming_log_odds", np.arange(BITS + 1, dtype=np.float32), "falling"),
    ],
)
def test_weights_that_would_round_are_refused(
    bundled: Classifier, name: str, value: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Classifier.from_arrays({**bundled.to_arrays(), name: value})


def test_the_version_covers_the_decisions(tmp_path: Path, bundled: Classifier) -> None:
    for suffix in (".npz", ".json"):
        shutil.copy(BUNDLED.with_suffix(suffix), tmp_path / f"classifier{suffix}")
    card = json.loads((tmp_path / "classifier.json").read_text())
    card["decisions"]["threshold"] -= 1
    (tmp_path / "classifier.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match="its card says"):
        Classifier.load(tmp_path / "classifier.npz")
    del card["decisions"]["threshold"]
    (tmp_path / "classifier.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match="lacks a part"):
        Classifier.load(tmp_path / "classifier.npz")


def test_the_bundle_fits_together() -> None:
    found = verify_artifacts(ModelSettings())
    assert Hasher.load().version in found
    assert Classifier.load().version in found
    with pytest.raises(ArtifactError, match="keras:VGG16"):
        verify_artifacts(ModelSettings(embedder="keras:VGG16"))
