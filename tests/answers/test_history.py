"""What became of clusters, on histories small enough to be told by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from neardup.answers.history import follow, history
from neardup.cli.main import cli
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from tests.lakes import garden


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return garden(tmp_path / "lake", tmp_path)


def row(old: int, new: int, batch_seq: int, shared: int = 1, share: float = 1.0) -> dict[str, Any]:
    return {
        "cluster_id": old,
        "successor": new,
        "shared": shared,
        "share": share,
        "generation": 0,
        "batch_seq": batch_seq,
    }


def told(lake: Lake, name: str) -> list[list[tuple[int, int, int, int, bool]]]:
    """Of each step: depth, cluster, successor, batch, told."""
    return [
        [(s.depth, s.cluster_id, s.successor, s.batch_seq, s.told) for s in tree]
        for tree in history(lake, name).trees
    ]


def run(lake: Lake, *words: str) -> Result:
    return CliRunner().invoke(cli, ["history", *words], env={"NEARDUP_LAKE__PATH": str(lake.path)})


def test_a_chain_is_followed_to_its_end_and_rows_written_twice_count_once(lake: Lake) -> None:
    rows = [row(70, 71, 3), row(71, 0, 5), row(71, 99, 2)]  # the last: before 70 came
    lake.append_rows("cluster_history", rows)
    lake.append_rows("cluster_history", rows)
    assert told(lake, "70") == [[(0, 70, 71, 3, False), (1, 71, 0, 5, False)]]
    assert history(lake, "70").now == [{"cluster_id": 0, "head": "rose", "pins": 2}]
    assert told(lake, "0") == [[]], "where others' pins came to is not where its own went"


def test_a_cluster_that_parts_and_meets_again(lake: Lake) -> None:
    lake.append_rows(
        "cluster_history",
        [
            row(70, 70, 3, 4, 0.8),
            row(70, 71, 3, 1, 0.2),
            row(71, 70, 4),
            row(70, 70, 4, 4),
            row(70, 1, 6, 5),
        ],
    )
    assert told(lake, "70") == [
        [
            (0, 70, 70, 3, False),
            (0, 70, 71, 3, False),
            (1, 71, 70, 4, True),
            (0, 70, 70, 4, False),
            (0, 70, 1, 6, False),
        ]
    ]


def test_a_pin_begins_where_it_first_was(lake: Lake) -> None:
    assert history(lake, "rose-copy").clusters == [0]
    assert history(lake, "tulip-copy").clusters == [1], "it was deleted, but it was there"
    lake.append_rows(
        "clusters",
        [
            {
                "pin_id": "daisy",
                "ordinal": 4,
                "cluster_id": 0,
                "head": "rose",
                "head_ordinal": 0,
                "generation": 0,
                "batch_seq": 9,
            }
        ],
    )
    assert history(lake, "daisy").clusters == [4, 0], "nothing tells how it came from 4 to 0"
    lake.append_rows("cluster_history", [row(4, 0, 9)])
    assert history(lake, "daisy").clusters == [4]


def test_in_words_and_as_json(lake: Lake) -> None:
    lake.append_rows("cluster_history", [row(70, 0, 3, 2, 2 / 3), row(70, 80, 3, 1, 1 / 3)])
    assert run(lake, "70").output.splitlines() == [
        "cluster 70",
        "  2 pins (67 %) went to 0 (generation 0, batch 3)",
        "  1 pin (33 %) went to 80 (generation 0, batch 3)",
        "now: 0 (head rose, 2 pins)",
    ]
    found = json.loads(run(lake, "--json", "70").output)
    assert (found["name"], found["clusters"]) == ("70", [70])
    assert found["trees"][0][0] == {**row(70, 0, 3, 2, 2 / 3), "depth": 0, "told": False}
    assert found["now"] == [{"cluster_id": 0, "head": "rose", "pins": 2}]
    assert run(lake, "80").output.splitlines()[-1] == (
        "now: none of these clusters is there any more"
    )


def test_an_unknown_name_is_said(lake: Lake) -> None:
    for name in ("oak", "71", "9" * 40):
        with pytest.raises(LakeError, match=f"'{name}'"):
            history(lake, name)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 6)), unique=True))
def test_every_row_that_can_be_reached_gives_one_step(edges: list[tuple[int, int, int]]) -> None:
    """Against walking the rows one by one, with no order and no tree."""
    changes: dict[int, list[list[dict[str, Any]]]] = {}
    for old, batch_seq in sorted({(old, batch_seq) for old, _, batch_seq in edges}):
        same = [row(*edge) for edge in sorted(edges) if (edge[0], edge[2]) == (old, batch_seq)]
        changes.setdefault(old, []).append(same)
    reached, grown = {edge for edge in edges if edge[0] == 0}, True
    while grown:
        more = {e for e in edges for r in reached if e[0] == r[1] and e[2] > r[2]}
        grown = not more <= reached
        reached |= more
    steps = [(s.cluster_id, s.successor, s.batch_seq) for s in follow(changes, 0)]
    assert sorted(steps) == sorted(reached)


def test_a_chain_longer_than_the_stack_is_deep() -> None:
    changes = {i: [[row(i, i + 1, i)]] for i in range(5_000)}
    assert [step.depth for step in follow(changes, 0)] == list(range(5_000))
