"""People's word in the fold of a log: against a naive model, and what changes nothing."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.fold import NOBODY
from neardup.clusters.identity import history
from neardup.clusters.ledger import FOLDED, Folded, Ledger, fold_rows
from neardup.clusters.people import events as as_events
from neardup.index.store import PinStore
from neardup.schemas.tables import PINS
from tests.clusters.naive_word import Row, Town, became, has_looks
from tests.clusters.test_fold import BITS, History, evidence, links_to

EVIDENCE = replace(evidence(330), unseen=4.0)
PINS_AT_MOST = 160
FIELDS = [PINS.schema.field(name) for name in FOLDED]
NAMES = {name: name for name in Town.NAMES}
Log = list[tuple[list[Row], list[Row]]]

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=15)


class Folding:
    """A ledger that folds batches of a log that is not in any lake."""

    def __init__(self, folder: Path, signatures: np.ndarray) -> None:
        self.ledger = Ledger.empty(EVIDENCE, PinStore(folder))
        self.signatures = signatures
        self.newest: dict[str, int] = {}
        self.seq = 0

    def fold(self, said: list[Row], happened: list[Row]) -> Folded:
        ledger = self.ledger
        ledger.word.learn(said, lambda names: np.array([self.newest.get(n, -1) for n in names]))
        added = {row["pin_id"]: row["ordinal"] for row in happened if row["kind"] == "add"}
        names = [row["pin_id"] for row in happened if row["kind"] == "add"]
        begin = len(ledger.store)
        looks = [np.full(24, has_looks(begin + i), np.uint8) for i in range(len(names))]
        looks = np.array(looks, np.uint8).reshape(-1, 24)
        ledger.store.extend(names, self.signatures[begin : begin + len(names)], looks)
        self.newest |= added
        rows = [*as_events(({**row, "written_at": None} for row in said), 0), *happened]
        rows = [{**row, "batch_seq": self.seq, "partition": 0} for row in rows]
        self.seq += bool(rows)
        return fold_rows(ledger, pa.Table.from_pylist(rows, schema=pa.schema(FIELDS)))

    def standing(self) -> list[tuple[int, int]]:
        standing = self.ledger.fold.standing(np.arange(len(self.ledger.fold)))
        return list(zip(standing.cluster_ids.tolist(), standing.heads.tolist(), strict=True))


def town_of(seed: int) -> Town:
    pins = History(seed, PINS_AT_MOST)
    return Town(seed, EVIDENCE, pins.signatures, pins.links)


def folded(
    log: Log, signatures: np.ndarray, names: dict[str, str] = NAMES
) -> list[tuple[int, int]]:
    """Where the pins stand after a log, under other names."""
    with TemporaryDirectory() as folder:
        folding = Folding(Path(folder), signatures)
        for said, happened in log:
            folding.fold(
                [renamed(row, names) for row in said], [renamed(r, names) for r in happened]
            )
        return folding.standing()


def renamed(row: Row, names: dict[str, str]) -> Row:
    columns = [name for name in ("pin_id", "other", "left") if row.get(name) is not None]
    return {**row, **{column: names[row[column]] for column in columns}}


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, shape=SHAPES)
def test_every_row_that_is_written_is_the_models(seed: int, shape: list[tuple[int, int]]) -> None:
    """Memberships exactly; of what became of clusters what all their members tell."""
    town = town_of(seed)
    with TemporaryDirectory() as folder:
        folding = Folding(Path(folder), town.word.fold.signatures)
        for words, events in shape:
            before = town.word.clusters()
            batch = town.batch(words, events)
            found = folding.fold(*batch)
            assert found.clusters.to_pylist() == town.word.take(folding.seq - 1)
            columns = ("cluster_id", "successor", "shared", "share")
            told = list(zip(*(found.history[name].to_pylist() for name in columns), strict=True))
            assert told == became(before, town.word.clusters())


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, shape=SHAPES)
def test_what_became_of_clusters_is_what_a_recompute_would_tell(
    seed: int, shape: list[tuple[int, int]]
) -> None:
    """From the touched pins alone as from all of them; shares count pins that left, too."""
    town = town_of(seed)
    with TemporaryDirectory() as folder:
        folding = Folding(Path(folder), town.word.fold.signatures)
        for words, events in shape:
            before = np.array([cluster for cluster, _ in folding.standing()], np.int64)
            told = folding.fold(*town.batch(words, events)).history
            after = np.array([cluster for cluster, _ in folding.standing()], np.int64)[
                : len(before)
            ]
            stayed = (before != NOBODY) & (after != NOBODY)
            expected = history(before[stayed], after[stayed])
            assert told["cluster_id"].to_pylist() == expected.old.tolist()
            assert told["successor"].to_pylist() == expected.new.tolist()
            assert told["shared"].to_pylist() == expected.shared.tolist()
            had = np.array([(before == old).sum() for old in expected.old], np.int64)
            assert told["share"].to_pylist() == (expected.shared / had).tolist()


def log_of(seed: int) -> tuple[Log, np.ndarray]:
    """Twelve batches and the signatures of their pins; the seed is printed if a test fails."""
    print(f"seed {seed}")
    town = town_of(seed)
    log = [town.batch(int(n), int(m)) for n, m in town.rng.integers(0, (3, 9), (12, 2))]
    return log, town.word.fold.signatures


def cut(log: Log, rng: np.random.Generator) -> Log:
    """The same log in other batches: what people say is always first in one."""
    batches: Log = []
    for said, happened in log:
        for row in said:
            if batches and not batches[-1][1] and rng.random() < 0.5:
                batches[-1][0].append(row)
            else:
                batches.append(([row], []))
        for row in happened:
            if batches and rng.random() < 0.7:
                batches[-1][1].append(row)
            else:
                batches.append(([], [row]))
    return batches


def with_links(log: Log, change: Callable[[list[Any]], Iterable[Any]]) -> Log:
    return [
        (said, [{**row, "links": list(change(row["links"]))} for row in happened])
        for said, happened in log
    ]


@pytest.mark.parametrize("seed", np.random.default_rng().integers(0, 2**32, 12).tolist())
def test_what_changes_nothing(seed: int) -> None:
    """Where batches end, what pins are called, the order of links, links twice, repeats."""
    log, signatures = log_of(seed)
    rng = np.random.default_rng(seed)
    expected = folded(log, signatures)
    assert folded(cut(log, rng), signatures) == expected, "batches"
    others = dict(zip(NAMES, rng.permutation(list("nopqrstu")).tolist(), strict=True))
    assert folded(log, signatures, others) == expected, "names"
    shuffled = with_links(log, lambda links: [links[i] for i in rng.permutation(len(links))])
    assert folded(shuffled, signatures) == expected, "order of links"
    twice = with_links(log, lambda links: [*links, *links])
    assert folded(twice, signatures) == expected, "links twice"
    assert (
        folded([(s, [r for e in h for r in (e, again(e))]) for s, h in log], signatures) == expected
    )


def again(row: Row) -> Row:
    """The same event once more, as the log has it: of a pin that is there a repeat."""
    return {**row, "kind": "repeat", "ordinal": None, "previous": row["ordinal"], "links": []}


def chained(order: str, far: int, spoken: list[Row]) -> dict[str, int]:
    """Clusters of a, b, c, where b is a near copy of both and a and c differ in ``far`` bits."""
    bits = np.zeros((3, BITS), np.uint8)
    bits["abc".index("b"), : far // 2] = 1
    bits["abc".index("c"), :far] = 1
    signatures = np.packbits(bits, axis=1)[["abc".index(name) for name in order]]
    events = [
        {
            "pin_id": name,
            "kind": "add",
            "ordinal": ordinal,
            "previous": None,
            "offset": ordinal,
            "links": [
                {"ordinal": link.ordinal, "overlap": 1, "hamming": 1, "score": link.score}
                for link in links_to(signatures, ordinal, far - 1)
            ],
        }
        for ordinal, name in enumerate(order)
    ]
    standing = folded([(spoken, events)], signatures)
    return {name: standing[ordinal][0] for ordinal, name in enumerate(order)}


def word(kind: str, pin_id: str, other: str) -> Row:
    row = {"sequence": 0, "kind": kind, "pin_id": pin_id, "other": other}
    return {**row, "left": None, "forgets": None, "who": "ann", "why": "a test"}


@pytest.mark.parametrize("order", ["".join(order) for order in permutations("abc")])
def test_a_chain_of_three_in_any_order(order: str) -> None:
    """Near ends: one cluster. Ends too far apart never meet, and b is with one of them."""
    assert len(set(chained(order, 300, []).values())) == 1
    far = chained(order, 400, [])
    assert far["a"] != far["c"] and far["b"] in (far["a"], far["c"])
    first = next(name for name in order if name != "b")
    assert far["b"] == far[first], "the one that is there first"
    told = chained(order, 300, [word("unlink", "c", "a")])
    assert told["a"] != told["c"] and told["b"] in (told["a"], told["c"])
    assert len(set(chained(order, 400, [word("link", "a", "c")]).values())) == 1
