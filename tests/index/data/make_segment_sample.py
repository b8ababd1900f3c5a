"""Writes segment-v<format version>.npz: run it once when the format version is new, then commit.

Samples of older versions are never written again: they stand for what is stored out there.
"""

from pathlib import Path

import numpy as np

from neardup.index.blocks import FORMAT_VERSION
from neardup.index.hamming import pairs_within
from neardup.index.ids import id_hashes
from neardup.index.segment import build_segment
from neardup.index.terms import TermPlan, matches

FIRST, N, RADIUS, PLAN = 4096, 64, 300, TermPlan(bands=16)


def main() -> None:
    rng = np.random.default_rng(FORMAT_VERSION)
    bits = rng.random((N, 1024)) < 0.5
    bits[N // 2 :] = bits[: N // 2] ^ (rng.random((N // 2, 1024)) < 0.1)
    signatures = np.packbits(bits, axis=1)
    queries = np.packbits(bits[:8] ^ (rng.random((8, 1024)) < 0.1), axis=1)
    pin_ids = [f"pin-{row % 60}" for row in range(N)]
    ordinals = np.arange(FIRST, FIRST + N)
    built = build_segment(
        (FIRST, FIRST + N), ordinals, signatures, id_hashes(pin_ids), ordinals, PLAN
    )
    query, pin, hamming = pairs_within(queries, signatures, RADIUS)
    shared = matches(PLAN, queries[query], signatures[pin])
    keep = shared > 0
    np.savez_compressed(
        Path(__file__).with_name(f"segment-v{FORMAT_VERSION}.npz"),
        segment_id=built.segment_id,
        queries=queries,
        candidates=np.stack([query, pin + FIRST, shared, hamming])[:, keep].astype(np.int64),
        asked=id_hashes(["pin-0", "pin-59", "pin-60"]),
        ordinals=np.array([FIRST + 60, FIRST + 59, -1]),
        **{f"block {name}": np.frombuffer(data, np.uint8) for name, data in built.blocks.items()},
    )


if __name__ == "__main__":
    main()
