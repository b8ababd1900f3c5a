"""One self-contained HTML page: clusters as rows of thumbnails, and what was quarantined."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from neardup.answers.show import members
from neardup.models.classifier import Classifier
from neardup.schemas.events import REASONS
from neardup.schemas.lake import Lake

MAX_MEMBERS = 24


def write_report(lake: Lake, classifier: Classifier, path: Path, clusters: int = 100) -> None:
    """Write the page for the ``clusters`` biggest clusters to ``path``."""
    environment = Environment(
        loader=PackageLoader("neardup.answers"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html.jinja").render(
        at=datetime.now(UTC),
        totals=_totals(lake),
        sizes=_sizes(lake),
        clusters=_clusters(lake, classifier, clusters),
        quarantine=_quarantine(lake),
        reasons=REASONS,
        max_members=MAX_MEMBERS,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8")


def _totals(lake: Lake) -> dict[str, Any]:
    return lake.rows(
        """SELECT
            (SELECT count(*) FROM pins WHERE kind <> 'override') AS events,
            (SELECT count(*) FROM quarantine) AS quarantined,
            (SELECT count(*) FROM clusters_current) AS pins,
            (SELECT count(*) FROM cluster_sizes) AS clusters,
            (SELECT count(*) FROM cluster_sizes WHERE pins > 1) AS several,
            (SELECT coalesce(max(generation), 0) FROM clusters_current) AS generation"""
    )[0]


def _sizes(lake: Lake) -> list[dict[str, Any]]:
    return lake.rows(
        "SELECT pins, count(*) AS clusters FROM cluster_sizes GROUP BY pins ORDER BY pins"
    )


def _clusters(lake: Lake, classifier: Classifier, limit: int) -> list[dict[str, Any]]:
    biggest = lake.rows(
        """SELECT cluster_id, head, pins FROM cluster_sizes WHERE pins > 1
        ORDER BY pins DESC, cluster_id LIMIT $limit""",
        {"limit": limit},
    )
    for cluster in biggest:
        cluster["members"] = members(lake, classifier, cluster["cluster_id"], MAX_MEMBERS)
        for member in cluster["members"]:
            picture = member["thumbnail"]
            member["src"] = (
                picture and "data:image/jpeg;base64," + base64.b64encode(picture).decode()
            )
    return biggest


def _quarantine(lake: Lake) -> list[dict[str, Any]]:
    return lake.rows(
        """SELECT reason, count(*) AS events, min(detail) AS example
        FROM quarantine GROUP BY reason ORDER BY events DESC, reason"""
    )
