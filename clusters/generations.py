"""The life of a generation: prepared beside the current one, published in one commit."""

from datetime import UTC, datetime
from typing import Any

from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import Fold
from neardup.clusters.ledger import catch_up, restore
from neardup.index.store import PinStore
from neardup.schemas.lake import Lake


def generation_row(lake: Lake, generation: int, status: str, **figures: Any) -> None:
    """Append a row to ``generations`` with the next sequence number."""
    last = lake.rows("SELECT max(sequence) AS last FROM generations")[0]["last"]
    lake.append_rows(
        "generations",
        [
            {
                "sequence": 0 if last is None else last + 1,
                "generation": generation,
                "status": status,
                "written_at": datetime.now(UTC),
                **figures,
            }
        ],
    )


def prepared_generation(lake: Lake) -> dict[str, Any] | None:
    """The newest generation that waits to be published, as its row, or None."""
    rows = lake.rows(
        """SELECT * FROM generations
        WHERE status = 'prepared' AND generation NOT IN
            (SELECT generation FROM generations WHERE status = 'published')
        ORDER BY generation DESC LIMIT 1"""
    )
    return rows[0] if rows else None


def publish(lake: Lake, prepared: dict[str, Any], evidence: Evidence, store: PinStore) -> Fold:
    """Bring a prepared generation up to the newest batch and make it the one that readers see.

    Between two batches, or with no stream running. Readers see the generation before it until the
    last commit; a publisher that is killed earlier is repeated without a trace.
    """
    generation = prepared["generation"]
    fold, through = restore(lake, generation, evidence, store)
    catch_up(lake, fold, through, store)
    figures = {
        name: prepared[name]
        for name in ("through_batch_seq", "pins", "clusters", "moved", "pair_f1")
    }
    generation_row(lake, generation, "published", **figures)
    return fold
