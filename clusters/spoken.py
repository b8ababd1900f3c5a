"""What people said, as a compaction needs it: about pins that are live after a batch."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from neardup.clusters.evidence import Links
from neardup.clusters.ledger import named, said
from neardup.clusters.overrides import Ruling, Said, between
from neardup.clusters.snapshot import Snapshot
from neardup.schemas.lake import Lake

Int64 = npt.NDArray[np.int64]


class SpokenOf(NamedTuple):
    """Live pins, int64 [n], that people spoke of since a batch; whether they unblocked one."""

    pins: Int64
    unblocked: bool


def ruling(lake: Lake, now: Snapshot) -> Ruling:
    """What holds between live pins. A blocked pin is alone, whatever else was said of it."""
    known = said(lake, now.through)
    at = _live_versions(now, _names(known))
    blocked = set(known.blocked)
    free = {pin_id: ordinal for pin_id, ordinal in at.items() if pin_id not in blocked}
    alone = sorted(at[pin_id] for pin_id in blocked & at.keys())
    return between(known, free)._replace(blocked=np.array(alone, np.int64))


def as_links(ruled: Ruling) -> Links:
    """What people said, as links by ordinal: plus and minus infinity."""
    pairs = np.concatenate([ruled.together, ruled.apart])
    scores = np.repeat([np.inf, -np.inf], [len(ruled.together), len(ruled.apart)])
    return Links(pairs.max(axis=1), pairs.min(axis=1), scores)


def spoken_of(lake: Lake, now: Snapshot, since: int) -> SpokenOf:
    """Whom the words that came after batch ``since`` are about."""
    pins = _live_versions(now, named(lake, since, now.through)).values()
    lifted = set(said(lake, since).blocked) - set(said(lake, now.through).blocked)
    return SpokenOf(np.array(sorted(pins), np.int64), bool(lifted))


def _names(known: Said) -> set[str]:
    pairs = [*known.together, *known.apart]
    return {pin_id for pair in pairs for pin_id in pair} | set(known.blocked)


def _live_versions(now: Snapshot, pin_ids: Iterable[str]) -> dict[str, int]:
    """The live version's ordinal of those pins that have one."""
    wanted = pa.array(sorted(pin_ids), pa.string())
    if not len(wanted):
        return {}
    found = np.flatnonzero(pc.is_in(now.pin_ids, wanted).to_numpy(zero_copy_only=False))
    live = np.intersect1d(found, now.live, assume_unique=True)
    return dict(zip(now.pin_ids.take(pa.array(live)).to_pylist(), live.tolist(), strict=True))
