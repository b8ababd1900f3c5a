"""The index by itself: near neighbours, by angle, among any float32 vectors.

Everything the stream's index is made of, in memory and without a lake: sign bits, terms, a
memtable, segments that are flushed and merged. Vectors of text, sound or anything else will do.

    index = VectorIndex(sample, cosine=0.9)     # learns the directions of its bits from a sample
    index.add(vectors)                          # ordinals 0, 1, 2, ...
    found = index.search(queries)               # Candidates: query, ordinal, overlap, hamming

Bits: vectors are centred on the sample's mean and rotated at random, by as many orthonormal
rotations as make 1,024 directions (super-bit LSH: Ji, Li, Yan, Zhang, Tian 2012); a bit is the sign
along one. Two vectors at angle theta differ in a share theta / pi of their bits (Charikar 2002).
"""

import numpy as np
import numpy.typing as npt

from neardup.index.hamming import pairs_within
from neardup.index.ids import id_hashes
from neardup.index.policy import flush_ranges, live_spans, merge_spans
from neardup.index.postings import MAX_PINS
from neardup.index.search import Candidates, search
from neardup.index.segment import Segment, build_segment, decode_segment
from neardup.index.terms import N_BITS, TermPlan, matches

Floats = npt.NDArray[np.float32]

FLUSH_PINS = 16_384
_SIGMAS = 3.0
_SIGNED_AT_ONCE = 16_384


class VectorIndex:
    """Finds vectors whose cosine with a query, both centred, is at least ``cosine``.

    ``sample`` float32 [s, d] is what the centre is learned from. Costs 8 bytes a band and 136 more
    for each vector. Not for several threads at once.
    """

    def __init__(
        self, sample: Floats, cosine: float, plan: TermPlan | None = None, seed: int = 0
    ) -> None:
        if sample.ndim != 2 or len(sample) < 2 or not np.isfinite(sample).all():
            raise ValueError(f"sample of shape {sample.shape}: need two finite rows or more")
        if not -1 < cosine < 1:
            raise ValueError(f"cosine is {cosine}; it must be between -1 and 1")
        self.plan = plan or TermPlan()
        self.radius = _radius(cosine)
        self._mean = sample.mean(axis=0)
        self._directions = _directions(sample.shape[1], np.random.default_rng(seed))
        self._signatures = np.empty((0, N_BITS // 8), np.uint8)
        self._segments: dict[tuple[int, int], Segment] = {}

    def __len__(self) -> int:
        return len(self._signatures)

    def sign(self, vectors: Floats) -> npt.NDArray[np.uint8]:
        """Signatures uint8 [n, 128] of vectors float32 [n, d]. Raises ValueError on NaN."""
        if vectors.shape[1:] != self._mean.shape or not np.isfinite(vectors).all():
            raise ValueError(
                f"vectors of shape {vectors.shape}: need finite rows of {len(self._mean)}"
            )
        parts = [
            np.packbits((vectors[at : at + _SIGNED_AT_ONCE] - self._mean) @ self._directions > 0, 1)
            for at in range(0, len(vectors), _SIGNED_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else self._signatures[:0]

    def add(self, vectors: Floats) -> npt.NDArray[np.int64]:
        """Add vectors float32 [n, d]; their ordinals int64 [n]."""
        first = len(self)
        self._signatures = np.concatenate([self._signatures, self.sign(vectors)])
        spans = sorted(self._segments)
        flushed = self._flushed
        spans += flush_ranges(flushed, len(self) - flushed, FLUSH_PINS)
        while merges := merge_spans(spans, FLUSH_PINS, MAX_PINS):
            spans = live_spans(spans + merges)
        self._segments = {span: self._segments.get(span) or self._build(span) for span in spans}
        return np.arange(first, len(self))

    def search(self, queries: Floats) -> Candidates:
        """All that is near each of queries float32 [q, d], by (query, ordinal)."""
        signatures = self.sign(queries)
        words = self.plan.words(signatures)
        parts = [
            search(segment, signatures, self.radius, words).candidates
            for segment in self._segments.values()
        ]
        parts.append(self._in_memtable(signatures))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.lexsort((columns[1], columns[0]))
        return Candidates(*(column[order] for column in columns))

    @property
    def _flushed(self) -> int:
        return max((end for _, end in self._segments), default=0)

    def _build(self, span: tuple[int, int]) -> Segment:
        ordinals = np.arange(*span)
        signatures = self._signatures[slice(*span)]
        nobody = id_hashes([])
        built = build_segment(span, ordinals, signatures, nobody, ordinals[:0], self.plan)
        return decode_segment(*built)

    def _in_memtable(self, signatures: npt.NDArray[np.uint8]) -> Candidates:
        memtable = self._signatures[self._flushed :]
        query, pin, hamming = pairs_within(signatures, memtable, self.radius)
        shared = matches(self.plan, signatures[query], memtable[pin])
        keep = shared >= self.plan.min_overlap
        ordinals = pin[keep].astype(np.int64) + self._flushed
        return Candidates(query[keep], ordinals, shared[keep], hamming[keep])


def _radius(cosine: float) -> int:
    """Bits in which a pair at this cosine differs, with a margin of three standard deviations."""
    share = np.arccos(cosine) / np.pi
    return int(np.ceil(N_BITS * share + _SIGMAS * np.sqrt(N_BITS * share * (1 - share))))


def _directions(dim: int, rng: np.random.Generator) -> Floats:
    """1,024 directions as columns, float32 [dim, 1024]: orthonormal, ``dim`` at a time."""
    turns = []
    for _ in range(-(-N_BITS // dim)):
        q, r = np.linalg.qr(rng.normal(size=(dim, dim)))
        turns.append(q * np.sign(np.diag(r)))  # the sign makes it uniform (Mezzadri 2007)
    return np.concatenate(turns, axis=1)[:, :N_BITS].astype(np.float32)
