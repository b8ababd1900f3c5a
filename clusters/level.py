"""Is everything that is made from `pins` at most as new as `pins`?

Each batch is committed to `pins` first, so a table that is ahead of it says that `pins` lost its
end: it came from a backup, or the last commits of its log are gone. New batches would take the
numbers and ordinals of those that readers have seen.
"""

from neardup.index.lake_segments import searched_segments
from neardup.index.segment import SegmentName
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake

AHEAD = """
SELECT made, found, last FROM (
    SELECT 'clusters' AS made, max(batch_seq) AS found FROM clusters
    UNION ALL SELECT 'cluster_history', max(batch_seq) FROM cluster_history
        WHERE generation IN (SELECT generation FROM clusters)
    UNION ALL SELECT 'models', max(batch_seq) - 1 FROM models
), (SELECT coalesce(max(batch_seq), -1) AS last FROM pins)
WHERE found > last
"""
"""Tables with batches (``found``) that `pins` (``last``) lacks. A classifier is taken into use
before its first batch; history of other generations came from another lake (``batch.rebuild``)."""


def require_level(lake: Lake, pins: int) -> None:
    """Raise LakeError if a table is ahead of `pins`, which has ``pins`` versions. Nobody writes."""
    said = [f"`{row['made']}` knows batch {row['found']}" for row in lake.rows(AHEAD)]
    end = max((SegmentName.of(name).end for name in searched_segments(lake)), default=0)
    if end > pins:
        said.append(f"`segments` holds {end:,} pin versions")
    if said:
        last = lake.rows("SELECT coalesce(max(batch_seq), -1) AS last FROM pins")[0]["last"]
        raise LakeError(
            f"The log in {lake.path / 'pins'} has lost its end: it has {pins:,} pin versions and "
            f"ends with batch {last}, but {', '.join(said)}. If you have a newer copy of it, put "
            "it back. If not, run `neardup repair`: it takes back what follows from the lost "
            "batches, and the stream reads their events from Kafka again."
        )
