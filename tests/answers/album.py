"""A lake of real pictures: a photo, a mirrored copy of it, another, and pins that lack one."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neardup.clusters.generations import generation_row
from neardup.index.plans import ensure_plan
from neardup.models.edits import edit
from neardup.models.embed import open_embedder
from neardup.models.hasher import Hasher
from neardup.models.images import thumbnail
from neardup.schemas.lake import Lake
from tests.lakes import link, pin

PHOTOS = sorted((Path(__file__).parents[2] / "demo" / "photos").glob("*.jpg"))


def album(folder: Path) -> Lake:
    """Pins ``photo`` (image_uri), ``copy`` (thumbnail, linked), ``other`` (image_uri that is gone,
    thumbnail), ``bare`` (no picture), ``gone`` (deleted). Pictures lie in ``folder``/pictures.
    """
    pictures = folder / "pictures"
    pictures.mkdir()
    first, second = (Image.open(path).convert("RGB") for path in PHOTOS[:2])
    rng = np.random.default_rng(5)
    copy = edit(edit(first, "flip", 0, rng), "crop", 0.3, rng)
    first.save(pictures / "photo.png")
    copy.save(pictures / "copy.png")
    Image.new("RGB", (200, 150), (240, 240, 235)).save(pictures / "wall.png")
    hasher = Hasher.load()
    signed = hasher.sign(open_embedder("mobilenet_v1").embed([first, copy, second]))
    columns: list[dict[str, Any]] = [
        {"pin_id": "photo", "image_uri": (pictures / "photo.png").as_uri()},
        {"pin_id": "copy", "thumbnail": thumbnail(copy, 160), "links": [link(0, 99)]},
        {
            "pin_id": "other",
            "image_uri": (pictures / "lost.png").as_uri(),
            "thumbnail": thumbnail(second, 160),
        },
        {"pin_id": "bare"},
        {"pin_id": "gone"},
    ]
    rows = [
        pin(
            offset=ordinal,
            ordinal=ordinal,
            batch_seq=0,
            signature=signed[min(ordinal, 2)].tobytes(),
            hasher=hasher.version,
            **column,
        )
        for ordinal, column in enumerate(columns)
    ]
    lake = Lake.create(folder / "lake")
    ensure_plan(lake)
    generation_row(lake, 0, "published", through_batch_seq=-1)
    lake.append_rows("pins", rows)
    lake.append_rows("pins", [pin("gone", 1, 9, kind="delete", previous=4)])
    lake.append_rows("clusters", [_member(row["pin_id"], row["ordinal"], 0) for row in rows])
    lake.append_rows("clusters", [{**_member("gone", 4, 1), "cluster_id": None}])
    return lake


def _member(pin_id: str, ordinal: int, batch_seq: int) -> dict[str, Any]:
    head = {0: "photo", 1: "photo"}.get(ordinal, pin_id)
    return {
        "pin_id": pin_id,
        "ordinal": ordinal,
        "cluster_id": 0 if ordinal < 2 else ordinal,
        "head": head,
        "generation": 0,
        "batch_seq": batch_seq,
    }
