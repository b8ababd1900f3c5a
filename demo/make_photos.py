"""How `demo/photos` was made: chosen files of a folder of photos, scaled down, with their sources.

    python demo/make_photos.py PHOTOS CHOSEN.txt

PHOTOS holds `images/` and `sources.csv` (file, flickr_photo_id, class); CHOSEN names a file a line.
"""

import csv
import sys
from pathlib import Path

from PIL import Image

LONGEST_PX = 224
COUNT = 300
TARGET = Path(__file__).parent / "photos"


def main(photos: Path, chosen: Path) -> None:
    """Write COUNT photos and their sources.csv into TARGET."""
    names = chosen.read_text("utf-8").split()[:COUNT]
    with (photos / "sources.csv").open(newline="", encoding="utf-8") as lines:
        sources = {row["file"]: row for row in csv.DictReader(lines)}
    with (TARGET / "sources.csv").open("w", newline="", encoding="utf-8") as out:
        rows = csv.DictWriter(out, ["file", "flickr_photo_id", "class"])
        rows.writeheader()
        for name in names:
            rows.writerow(sources[name])
            with Image.open(photos / "images" / name) as picture:
                small = picture.convert("RGB")
            small.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.LANCZOS)
            small.save(TARGET / name, "JPEG", quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
