"""Turns beside a block, and where their failure is heard."""

import threading

import pytest

from neardup.infra.background import Background


def test_turns_are_taken_while_the_block_runs_and_not_after() -> None:
    turned = threading.Event()
    turns: list[int] = []

    def turn() -> None:
        turns.append(1)
        turned.set()

    with Background(turn, 0.001):
        assert turned.wait(10)
    taken = len(turns)
    turned.clear()
    assert not turned.wait(0.05)
    assert len(turns) == taken


def test_a_failed_turn_is_raised_where_the_block_ends() -> None:
    failed = threading.Event()

    def turn() -> None:
        failed.set()
        raise ValueError("a turn")

    with pytest.raises(ValueError, match="a turn"), Background(turn, 0.001):
        assert failed.wait(10)
    failed.clear()
    with pytest.raises(KeyError), Background(turn, 0.001):
        assert failed.wait(10)
        raise KeyError("the block's own failure comes first")
