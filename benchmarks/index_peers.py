"""The libraries that the index is measured beside, and clocks that are fair to both sides."""

import statistics
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.benchmarks.crowd import Signatures
from neardup.models.hasher import BITS
from neardup.schemas.errors import EnvironmentProblem


def peer(name: str) -> Any:
    """A library that only benchmarks need. Raises EnvironmentProblem if it is not installed."""
    try:
        module = import_module(name)
    except ImportError:
        raise EnvironmentProblem(
            f"The benchmark compares with {name}, which is not installed: "
            "pip install 'neardup[bench]'"
        ) from None
    if name == "faiss":
        module.omp_set_num_threads(1)
    return module


def alternate(
    repeats: int,
    *calls: Callable[[int], object],
    clock: Callable[[], float] = time.thread_time,
) -> list[list[float]]:
    """Seconds of each call, taken in turn so that a noisy machine disturbs all alike.

    A call is given the number of the repeat. The clock counts the processor's time of this thread:
    what other processes take does not count.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats):
        for call, taken in zip(calls, seconds, strict=True):
            begin = clock()
            call(repeat)
            taken.append(clock() - begin)
    return seconds


class MultiHash(NamedTuple):
    """A setting of FAISS's IndexBinaryMultiHash: ``hashes`` tables addressed by ``bits`` bits each,
    of which up to ``flips`` may differ."""

    hashes: int
    bits: int
    flips: int

    def recall(self, patterns: Signatures) -> float:
        """The share of differences uint8 [m, 128] that it finds: exact, no index is built.

        Table i is addressed by bits ``i * bits`` to ``(i + 1) * bits - 1``.
        """
        bits = np.unpackbits(patterns, axis=1, bitorder="little")[:, : self.hashes * self.bits]
        differing = bits.reshape(len(bits), self.hashes, self.bits).sum(axis=2)
        return float((differing <= self.flips).any(axis=1).mean())

    @classmethod
    def least(cls, bits: int, flips: int, patterns: Signatures, asked: float) -> "MultiHash | None":
        """The fewest tables that find the ``asked`` share; None if all of them find less."""
        most = BITS // bits
        found = [
            cls(hashes, bits, flips).recall(patterns) >= asked for hashes in range(1, most + 1)
        ]
        return cls(found.index(True) + 1, bits, flips) if any(found) else None

    def build(self, signatures: Signatures) -> Any:
        """An index of signatures uint8 [n, 128]."""
        index = peer("faiss").IndexBinaryMultiHash(BITS, self.hashes, self.bits)
        index.nflip = self.flips
        index.add(signatures)
        return index

    def __str__(self) -> str:
        return f"MultiHash({self.hashes} x {self.bits} bits, {self.flips} flips)"


def flat(signatures: Signatures) -> Any:
    """FAISS's brute force over signatures uint8 [n, 128]."""
    index = peer("faiss").IndexBinaryFlat(BITS)
    index.add(signatures)
    return index


def found_within(index: Any, queries: Signatures, radius: int) -> list[npt.NDArray[np.int64]]:
    """For each query the rows at most ``radius`` bits away that a FAISS index finds."""
    limits, _, rows = index.range_search(queries, radius + 1)  # FAISS leaves the radius itself out
    return np.split(rows, limits[1:-1].astype(np.int64))


def tried(
    settings: Sequence[MultiHash], signatures: Signatures, queries: Signatures, radius: int
) -> dict[MultiHash, float]:
    """Seconds a query of each setting; one index at a time is in memory."""
    return {one: _seconds(one.build(signatures), queries, radius) for one in settings}


def _seconds(index: Any, queries: Signatures, radius: int) -> float:
    parts = np.array_split(queries, 3)
    (taken,) = alternate(len(parts), lambda i: found_within(index, parts[i], radius))
    return statistics.median(taken) * len(parts) / len(queries)
