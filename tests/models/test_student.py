"""Training the net: repeatable, resumable, and whole numbers that stand for the floats."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.models.checkpoint import load_checkpoint, save_checkpoint
from neardup.models.classifier import WITHOUT_LOOKS, check_weights, weigh
from neardup.models.crowd import crowd_distance
from neardup.models.looks import LOOKS_BYTES
from neardup.models.student import Net, Training, train_student, whole_weights
from neardup.models.training import Labelled
from neardup.schemas.errors import TrainingError

HOW = Training(width=8, epochs=9, pictures=4, company=3, copies=3)


def crowd(seed: int = 1, pictures: int = 40) -> Labelled:
    """Pictures of one neighbourhood, and copies in which the first half of the bits is noise."""
    rng = np.random.default_rng(seed)
    base = (rng.random(1024) < 0.5) ^ (rng.random((pictures, 1024)) < 0.06)
    source = np.concatenate([np.arange(pictures), np.repeat(np.arange(pictures), 4)])
    flips = rng.random((len(source), 1024)) < np.where(np.arange(1024) < 512, 0.45, 0.02)
    flips[:pictures] = False
    edits = (np.arange(len(source)) >= pictures).astype(np.int64)
    signatures = np.packbits(base[source] ^ flips, axis=1)
    looks = np.zeros((len(source), LOOKS_BYTES), np.uint8)
    return Labelled(signatures, looks, source, edits, np.empty(0, np.int64))


def test_training_twice_gives_one_net() -> None:
    one, two, other = (train_student(crowd(), replace(HOW, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.lens, two.lens)
    assert (one.intercept, one.slope, one.pull) == (two.intercept, two.slope, two.pull)
    assert (one.lens != other.lens).any()


class Killed(Exception):
    pass


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    how = replace(HOW, epochs=120)  # 300 steps, saved after 200
    whole = train_student(crowd(), how)

    def kill(done: int, steps: int, loss: float) -> None:
        assert steps == 300
        if done > 210:
            raise Killed

    kept = tmp_path / "net.npz"
    with pytest.raises(Killed):
        train_student(crowd(), how, checkpoint=kept, progress=kill)
    seen: list[int] = []
    again = train_student(
        crowd(), how, checkpoint=kept, progress=lambda done, *_: seen.append(done)
    )
    assert min(seen) > 200
    np.testing.assert_array_equal(again.lens, whole.lens)
    assert (again.intercept, again.slope, again.pull) == (
        whole.intercept,
        whole.slope,
        whole.pull,
    )
    other = train_student(crowd(2), how, checkpoint=kept)  # of another training: not taken up
    assert (other.lens != whole.lens).any()


def test_the_lens_learns_which_bits_are_noise() -> None:
    known, unseen = crowd(1, 120), crowd(1, 160)
    net = train_student(known, replace(HOW, epochs=60, decay=1.0))
    rows = np.flatnonzero(unseen.source >= 120)
    left, right = np.triu_indices(len(rows), 1)
    left, right = rows[left], rows[right]
    same = unseen.source[left] == unseen.source[right]
    blind = net._replace(lens=np.zeros_like(net.lens))

    def area(one: Net) -> float:
        weights = whole_weights(one, identical=50.0)
        values = weigh(weights, unseen.signatures[left], unseen.signatures[right])
        return float((values[same][:, None] > values[~same]).mean())

    assert area(net) > area(blind) + 0.02


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(TrainingError, match="loss became"):
        train_student(crowd(), replace(HOW, rate=1e30))


@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([1e-9, 0.01, 3.0]))
@settings(max_examples=20, deadline=None)
def test_whole_weights_stand_for_the_float_weights(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    left, right, around = rng.integers(0, 256, (3, 40, 128), dtype=np.uint8)
    lens = rng.normal(0, size / 100, (1024, 8)).astype(np.float32)
    net = Net(lens, around, intercept=14.0, slope=0.05, pull=0.003)
    weights = whole_weights(net, 1.5, -3.0, identical=1000.0) | {"looks": WITHOUT_LOOKS}
    check_weights(weights)
    signs = [2.0 * np.unpackbits(side, axis=1) - 1 for side in (left, right)]
    crowds = crowd_distance(left, around) + crowd_distance(right, around)
    hamming = (signs[0] != signs[1]).sum(axis=1)
    alike = ((signs[0] @ lens) * (signs[1] @ lens)).sum(axis=1)
    expected = 1.5 * (14.0 - 0.05 * hamming + 0.003 * crowds + alike) - 3.0
    spread = 1.5 * np.abs(signs[0] @ lens).max() * np.abs(signs[1] @ lens).max() * 8
    np.testing.assert_allclose(weigh(weights, left, right), expected, atol=0.02 + 0.05 * spread)


def test_a_checkpoint_of_something_else_is_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kept.npz"
    save_checkpoint(path, "one", {"a": np.arange(3)})
    kept = load_checkpoint(path, "one")
    assert kept is not None and kept["a"].tolist() == [0, 1, 2]
    assert list(path.parent.iterdir()) == [path]
    assert load_checkpoint(path, "other") is None
    assert load_checkpoint(tmp_path / "none.npz", "one") is None
    path.write_bytes(path.read_bytes()[:50])  # a disk that was full
    assert load_checkpoint(path, "one") is None
