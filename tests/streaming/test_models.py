"""Which classifiers a stream runs after what was asked for; where two of them disagree."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from neardup.cli.main import cli
from neardup.models.classifier import Classifier, log_odds_numpy
from neardup.models.hasher import Hasher
from neardup.models.registry import SHADOW, STREAM, Registry
from neardup.schemas.lake import Lake
from neardup.streaming.candidates import LINKS
from neardup.streaming.models import Models
from neardup.streaming.shadow import disagreements
from tests.classifiers import saved, variant

HASHER = Hasher.load().version


class Local(NamedTuple):
    """A value that is broadcast to nobody."""

    value: Any


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake")


def models_of(lake: Lake, classifier: Classifier | None = None, batch_seq: int = 0) -> Models:
    return Models(Local, lake, HASHER, classifier or Classifier.load(), None, batch_seq)


def uses(lake: Lake) -> list[tuple[Any, ...]]:
    return [(u["role"], u["version"], u["batch_seq"]) for u in Registry(lake).uses()]


def versions(models: Models) -> list[str]:
    return [str(arrays["version"]) for arrays in models.shared.value]


def test_the_first_stream_keeps_its_classifier_and_says_so(lake: Lake) -> None:
    models, bundled = models_of(lake), Classifier.load().version
    assert uses(lake) == [(STREAM, bundled, 0)]
    assert Registry(lake).versions() == versions(models) == [bundled]
    assert not models.follow(1)
    models_of(lake, batch_seq=5)
    assert uses(lake) == [(STREAM, bundled, 0)], "a restart is no other use"


def test_a_swap_holds_from_the_next_batch_on(lake: Lake, tmp_path: Path) -> None:
    models, registry = models_of(lake), Registry(lake)
    other = registry.add(saved(tmp_path / "o.npz", threshold=1.0)).version
    assert not models.follow(3)
    registry.want(STREAM, other, HASHER)
    assert models.classifier.version == Classifier.load().version
    assert models.follow(4)
    assert not models.follow(5)
    assert models.classifier.version == other == versions(models)[0]
    assert uses(lake)[1:] == [(STREAM, other, 4)]


def test_a_shadow_comes_and_goes_and_outlives_a_restart(lake: Lake, tmp_path: Path) -> None:
    models, registry = models_of(lake), Registry(lake)
    other = registry.add(saved(tmp_path / "o.npz", threshold=1.0)).version
    registry.want(SHADOW, other, HASHER)
    assert not models.follow(1), "the classifier that decides is the same"
    assert versions(models) == [Classifier.load().version, other]
    assert versions(models_of(lake)) == [Classifier.load().version, other]
    registry.want(SHADOW, None, HASHER)
    models.follow(2)
    assert versions(models) == [Classifier.load().version]
    assert uses(lake)[1:] == [(SHADOW, other, 1), (SHADOW, None, 2)]


@pytest.mark.parametrize("spoil", ["damaged", "gone", "other hasher", "not JSON"])
def test_what_cannot_be_used_is_refused_and_the_stream_goes_on(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    """The command refuses it as well; here it became so after that."""
    models, registry = models_of(lake), Registry(lake)
    hasher = "another" if spoil == "other hasher" else HASHER
    other = registry.add(saved(tmp_path / "o.npz", 1.0, hasher)).version
    registry.want(STREAM, other, hasher)
    arrays = registry.folder / f"{other}.npz"
    if spoil == "damaged":
        arrays.write_bytes(arrays.read_bytes()[:-9])
    if spoil == "gone":
        arrays.unlink()
    if spoil == "not JSON":
        registry.wanted_file.write_text("{")
    with caplog.at_level(logging.WARNING):
        assert not models.follow(1)
        assert not models.follow(2)
    assert models.classifier.version == Classifier.load().version
    assert len(uses(lake)) == 1
    assert len(caplog.records) == 1, "said once, not at every batch"
    assert "the models in use stay" in caplog.text


def test_the_commands(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARDUP_LAKE__PATH", str(lake.path))
    models_of(lake)
    other = saved(tmp_path / "o.npz", threshold=1.0)
    added = run("add", str(other)).strip()
    assert added == variant(threshold=1.0).version
    assert "decides" in run("use", added)
    run("shadow", Classifier.load().version)
    shown = run("list")
    assert f"stream {Classifier.load().version}" in shown
    assert "stream from the next batch on" in shown and "shadow from the next batch on" in shown
    assert Registry(lake).wanted() == {STREAM: added, SHADOW: Classifier.load().version}
    run("shadow", "--off")
    assert Registry(lake).wanted()[SHADOW] is None
    assert CliRunner().invoke(cli, ["models", "shadow"]).exit_code == 2


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["models", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def links(rows: list[tuple[int, int, int, float, float]], threshold: float) -> pa.Table:
    query, ordinal, hamming, score, shadow = zip(*rows, strict=True)
    accepted = [s >= threshold for s in score]
    columns = [query, ordinal, [1] * len(rows), hamming, score, accepted, shadow]
    arrays = [pa.array(c, field.type) for c, field in zip(columns, LINKS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=LINKS)


def test_pairs_that_one_links_and_the_other_does_not() -> None:
    classifier, shadow = variant(), variant(threshold=2.0)
    at, above = classifier.threshold, shadow.threshold
    first = [
        (0, 3, 50, above, above),  # both
        (0, 4, 90, at, at),  # at the threshold of one, below the other's
        (1, 4, 95, at - 1, above),
    ]
    # Rows 1 and 2 are views of one pin: of the pair (21, 5) the nearer view speaks, of two jobs.
    second = [(2, 5, 80, at, above), (1, 6, 99, at - 1, at - 1)]
    jobs = [links(rows, at) for rows in ([*first, (1, 5, 85, at, at)], second)]
    rows = disagreements(jobs, np.array([20, 21, 21]), classifier, shadow, batch_seq=7)
    assert [(r["ordinal"], r["other"], r["linked"]) for r in rows.to_pylist()] == [
        (20, 4, True),
        (21, 4, False),
    ]
    assert set(rows["model"].to_pylist()) == {classifier.version}
    assert set(rows["shadow"].to_pylist()) == {shadow.version}
    assert rows["batch_seq"].to_pylist() == [7, 7]
    assert rows["hamming"].to_pylist() == [90, 95]


def test_a_model_does_not_disagree_with_itself() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, 256, (2, 50, 128), np.uint8)
    right[:25] = left[:25] ^ np.uint8(1)
    model = variant()
    scores = log_odds_numpy(model, left, right).tolist()
    rows = [(0, i, 1, score, score) for i, score in enumerate(scores)]
    found = disagreements([links(rows, model.threshold)], np.array([99]), model, model, 0)
    assert len(found) == 0
