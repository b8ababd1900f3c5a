"""A lake whose stream is fed with random events, without Spark and Kafka, and compacted at will."""

from pathlib import Path
from typing import Any

import numpy as np

from neardup.clusters.compaction import prepare
from neardup.clusters.evidence import Evidence
from neardup.clusters.generations import generation_row, prepared_generation, publish_alone
from neardup.clusters.ledger import Ledger, restore
from neardup.clusters.recompute import Recipe
from neardup.clusters.saying import say
from neardup.clusters.work import Here
from neardup.index.store import PinStore
from neardup.schemas.errors import OverrideError
from neardup.schemas.lake import Lake
from tests.lakes import pin, said, write_batch

EVIDENCE = Evidence(
    ((300 - np.arange(1025)) / 20).astype(np.float32), trusted=3.0, apart=450, unseen=5.0
)
RADIUS, THRESHOLD, RECALL = 260, 2.0, 0.8


CURRENT = "SELECT * FROM clusters_current"


def score(left: np.ndarray, right: np.ndarray, *looks: np.ndarray) -> np.ndarray:
    bits = np.bitwise_count(left ^ right).sum(axis=1)
    return ((300 - bits) / 20).astype(np.float32)


def recipe(**changes: Any) -> Recipe:
    return Recipe(EVIDENCE, score, RADIUS, THRESHOLD, **{"model": "m", "max_links": 4, **changes})


class World:
    """A lake and its stream, without Spark and Kafka, fed with random events."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.lake = Lake.create(folder / "lake")
        generation_row(self.lake, 0, "published", through_batch_seq=-1)
        (folder / "store").mkdir()
        self.store = PinStore(folder / "store")
        self.ledger = Ledger.empty(EVIDENCE, self.store)
        self.centres = np.packbits(self.rng.integers(0, 2, (6, 1024), np.uint8), axis=1)
        self.live: dict[str, int] = {}
        self.batch_seq = self.named = 0

    def events(self, n: int) -> None:
        """A batch of pins near few centres, deletes and new versions among them."""
        rows: list[dict[str, Any]] = []
        batch: list[np.ndarray] = []
        for offset in range(n):
            kind = self.rng.choice(["add", "add", "add", "version", "delete"])
            known = sorted(self.live)
            pin_id = str(self.rng.choice(known)) if kind != "add" and known else ""
            if kind == "delete" and pin_id:
                rows.append(self._row(pin_id, offset, "delete", previous=self.live.pop(pin_id)))
                continue
            self.named += 1
            pin_id = pin_id or f"p{self.named:03}"
            previous = self.live.pop(pin_id, None)
            signature = self._signature()
            ordinal = len(self.store) + len(batch)
            links = self._links(signature, batch)
            batch.append(signature)
            columns: dict[str, Any] = {
                "ordinal": ordinal,
                "signature": signature.tobytes(),
                "links": links,
            }
            columns["looks"] = bytes([1] * 24) if ordinal % 4 < 3 else None
            sides = {"width": int(self.rng.integers(1, 4)), "height": 1}
            rows.append(self._row(pin_id, offset, "add", previous=previous, **columns, **sides))
            self.live[pin_id] = ordinal
        self._write(rows)

    def delete(self) -> None:
        """A batch in which one pin goes."""
        pin_id = str(self.rng.choice(sorted(self.live))) if self.live else "p000"
        self._write([self._row(pin_id, 0, "delete", previous=self.live.pop(pin_id, None))])

    def speak(self) -> None:
        """A word about two pins, if it can be true, in a batch of its own."""
        known = sorted(self.live)
        if len(known) < 2:
            return
        one, other = (str(name) for name in self.rng.choice(known, 2, replace=False))
        kind = str(self.rng.choice(["link", "unlink", "move", "block", "forget"]))
        names: dict[str, Any] = {"pin_id": one}
        if kind in ("link", "unlink", "move"):
            names["other"] = other
        if kind == "forget":
            spoken = self.lake.dataset("overrides").count_rows()
            names = {"forgets": int(self.rng.integers(0, max(spoken, 1)))}
        self.say(kind, **names)

    def say(self, kind: str, **names: Any) -> None:
        """A word in a batch of its own, if it can be true."""
        try:
            say(self.lake, kind, "someone", "a test", **names)
        except OverrideError:
            return
        self._write(said(self.lake, self.ledger, self.batch_seq))

    def compact(self) -> None:
        """As the night does it, and the stream goes on from what it published."""
        outcome = prepare(self.lake, recipe(), Here(self.lake))
        if outcome is None:
            return
        prepared = prepared_generation(self.lake)
        assert prepared is not None
        publish_alone(self.lake, prepared, EVIDENCE, outcome.history)
        self.ledger = restore(self.lake, self.lake.current_generation(), EVIDENCE, self.store)

    def parts(self) -> list[tuple[int, ...]]:
        """The current clusters, as sets of ordinals."""
        rows = self.lake.rows(
            "SELECT list_sort(list(ordinal)) AS pins FROM clusters_current GROUP BY cluster_id"
        )
        return sorted(tuple(row["pins"]) for row in rows)

    def _row(self, pin_id: str, offset: int, kind: str, **columns: Any) -> dict[str, Any]:
        return pin(pin_id, self.batch_seq, offset, kind, **columns)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        write_batch(self.lake, self.ledger, rows)
        self.batch_seq += 1

    def _signature(self) -> np.ndarray:
        bits = self.rng.random(1024) < self.rng.uniform(0, 0.2)
        centre = self.centres[self.rng.integers(0, len(self.centres))]
        signature: np.ndarray = centre ^ np.packbits(bits)
        return signature

    def _links(self, signature: np.ndarray, batch: list[np.ndarray]) -> list[dict[str, Any]]:
        """The four nearest live pins, one in five of them missed."""
        others = sorted(self.live.values())
        first = len(self.store)
        rows = [
            batch[o - first] if o >= first else self.store.signatures(np.array([o]))[0]
            for o in others
        ]
        bits = [int(np.bitwise_count(signature ^ row).sum()) for row in rows]
        near = sorted((b, o) for b, o in zip(bits, others, strict=True) if b <= RADIUS)[:4]
        return [
            {"ordinal": o, "overlap": 1, "hamming": b, "score": (300 - b) / 20}
            for b, o in near
            if self.rng.random() < RECALL
        ]
