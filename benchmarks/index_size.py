"""What the index takes on disk and in memory, and how fast its lists are read and made."""

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from neardup.benchmarks.crowd import Signatures, plant
from neardup.benchmarks.figures import Figure, compared, figure
from neardup.benchmarks.index_peers import alternate, peer
from neardup.benchmarks.index_plan import built, described, plan_recall, segment_of
from neardup.benchmarks.index_speed import REPEATS, Bench
from neardup.index.postings import MAX_PINS, build, stored_bits
from neardup.index.search import search
from neardup.index.segment import Segment, SegmentBlocks, band_block, decode_segment
from neardup.index.terms import TermPlan
from neardup.index.varbyte import decode, encode

SCALAR_CODECS = ("vbyte", "varint")
"""pyfastpfor's variable-byte codecs without vector instructions, both in our bytes' order."""


def on_disk(blocks: SegmentBlocks, segment: Segment) -> list[Figure]:
    """Bits a posting beside the entropy of its lists; all bytes beside plain int64 lists."""
    n, bands = segment.n, segment.plan.bands
    stored = sum(len(blocks.blocks[band_block(band)]) for band in range(bands))
    whole = sum(map(len, blocks.blocks.values()))
    kept = stored_bits(segment.directory_bits)
    offsets = segment.offsets[:, :: 1 << (segment.directory_bits - kept)]
    bits, least = 8 * stored / (n * bands), entropy(offsets) / (n * bands)
    lists = 8.0 * n * bands
    beside_bits = compared(
        f"bits a posting, {n:,} pins",
        "bits",
        [bits],
        "entropy of the lists, sum of log2 C(n, length)",
        [least],
        target="ratio <= 1.35",
        quality=f"with dictionaries and frames; {1 << kept:,} lists a band",
    )
    beside_bits.met = bits / least <= 1.35
    index = whole - len(blocks.blocks["signatures"])
    beside_lists = compared(
        f"whole index, {n:,} pins: postings, dictionaries, ordinals, ids",
        "bytes a pin",
        [index / n],
        "plain int64 lists",
        [lists / n],
        target="ratio <= .40",
        quality=f"of it {stored / n:.1f} postings; with the signatures that a segment keeps beside "
        f"it {whole / n:.1f} bytes, {whole / (lists + 148 * n):.3f} of int64 lists with signatures "
        f"and ids, {whole / lists:.3f} of int64 lists without",
    )
    beside_lists.met = index / lists <= 0.4
    return [beside_bits, beside_lists]


def entropy(offsets: npt.NDArray[np.uint32]) -> float:
    """Bits that lists take at least whose lengths are known: the sum of log2 C(n, length).

    ``offsets`` uint32 [L, lists + 1]. Each list is any subset of that length of the n pins.
    """
    n = float(offsets[0, -1])
    total = 0.0
    for band in offsets:
        lengths = np.diff(band.astype(np.int64))
        total += float((gammaln(n + 1) - gammaln(lengths + 1) - gammaln(n - lengths + 1)).sum())
    return total / float(np.log(2))


def decoding(crowd: Signatures, segment: Segment) -> Figure:
    """Postings of a band decoded in a second, beside pyfastpfor's scalar varbyte."""
    plan, d = segment.plan, segment.directory_bits
    offsets, pins = build(plan.words(crowd, slice(0, 1))[0], plan.term_bits, stored_bits(d))
    data, n = encode(pins, offsets), len(pins)
    gaps = gaps_of(pins, offsets)
    codecs = {name: peer("pyfastpfor").getCodec(name) for name in SCALAR_CODECS}
    out = np.zeros(n + 1024, np.uint32)
    packed: dict[str, tuple[npt.NDArray[np.uint32], int]] = {}
    for name, codec in codecs.items():
        room = np.zeros(2 * n + 1024, np.uint32)
        packed[name] = room, codec.encodeArray(gaps, n, room, len(room))

    def by_peer(name: str) -> None:
        room, size = packed[name]
        codecs[name].decodeArray(room, size, out, len(out))

    decode(data, offsets, n - 1)  # compiled before it is timed
    calls = [lambda _, name=name: by_peer(name) for name in codecs]
    repeats = 4 * REPEATS + 1
    ours, *theirs = alternate(repeats, lambda _: decode(data, offsets, n - 1), *calls)
    speeds = {
        name: [n / s / 1e6 for s in taken] for name, taken in zip(codecs, theirs, strict=True)
    }
    best = max(speeds, key=lambda name: float(np.median(speeds[name])))
    by_peer(best)
    same = bool((decode(data, offsets, n - 1) == pins).all() and (out[:n] == gaps).all())
    row = compared(
        f"postings decoded, lists of {n:,} pins, one thread",
        "M/s",
        [n / s / 1e6 for s in ours],
        f"pyfastpfor {best}",
        speeds[best],
        target="ratio >= .8",
        quality=f"{len(data) / n:.2f} bytes a posting; ours checks lists and sums gaps, the peer "
        f"gives gaps; both give what was stored: {same}; "
        + ", ".join(f"{name} {np.median(speed):.0f}" for name, speed in speeds.items()),
    )
    row.met = row.ratio is not None and row.ratio >= 0.8
    return row


def gaps_of(
    pins: npt.NDArray[np.uint32], offsets: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint32]:
    """Each value less the one before it in its list; the first of a list stays."""
    gaps = np.diff(pins, prepend=np.uint32(0))
    first = offsets[:-1][np.diff(offsets) > 0]
    gaps[first] = pins[first]
    return gaps


def growth(bench: Bench, small: Segment, large: Signatures, plan: TermPlan) -> list[Figure]:
    """Time of a query in ten times the pins, and the bytes of memory that a pin takes there."""
    segment, queries = segment_of(large, plan), 1000
    places = (segment, large), (small, bench.crowd)
    parts = [
        np.split(plant(rows, bench.links, queries * REPEATS, bench.rng)[0], REPEATS)
        for _, rows in places
    ]
    for one, _ in places:
        search(one, parts[0][0][:1], bench.radius)  # compiled before it is timed
    works = []
    slow, fast = alternate(
        REPEATS,
        lambda repeat: works.append(search(segment, parts[0][repeat], bench.radius).work),
        lambda repeat: search(small, parts[1][repeat], bench.radius),
    )
    work = works[-1]
    row = compared(
        f"time of a query in {segment.n:,} pins",
        "us",
        [1e6 * s / queries for s in slow],
        f"in {small.n:,} pins",
        [1e6 * s / queries for s in fast],
        target="ratio <= 3 from 1M to 10M",
        quality=f"recall {plan_recall(plan, bench.links):.4f} and "
        f"{plan_recall(small.plan, bench.links):.4f}; {described(plan)}; a query reads "
        f"{work.entries / queries:,.0f} entries and takes {work.compared / queries:,.0f} distances",
    )
    if not bench.quick:
        row.met = row.ratio is not None and row.ratio <= 3
    return [row, resident(segment)]


def resident(segment: Segment) -> Figure:
    """Bytes of memory of a pin in a decoded segment."""
    names = ("entries", "offsets", "signatures", "ordinals", "sorted_ids", "id_ordinals")
    sizes = {name: getattr(segment, name).nbytes / segment.n for name in names}
    return figure(
        f"memory of a pin, decoded segment of {segment.n:,}",
        "bytes",
        [sum(sizes.values())],
        quality=", ".join(f"{name} {size:.1f}" for name, size in sizes.items())
        + ": mapped files, which the system may drop; a band takes 8 bytes in entries and at most "
        f"1 in offsets (four pins a list or more); a segment has at most {MAX_PINS:,} pins",
    )


def adding(bench: Bench, plan: TermPlan) -> Figure:
    """One per cent more pins: a new segment, ready to search, beside building all anew."""
    crowd = bench.crowd
    few = crowd[: len(crowd) // 100]
    decode_segment(*built(few, plan))  # compiled before it is timed
    small, whole = alternate(
        REPEATS,
        lambda _: decode_segment(*built(few, plan, first=len(crowd))),
        lambda _: decode_segment(*built(crowd, plan)),
    )
    row = compared(
        f"adding {len(few):,} pins to {len(crowd):,}",
        "s",
        small,
        "building anew",
        whole,
        target="ratio <= .05",
        quality="a segment built and decoded; merging it comes later, beside the stream, and a pin "
        "is merged once in each fourfold growth",
    )
    row.met = row.ratio is not None and row.ratio <= 0.05
    return row
