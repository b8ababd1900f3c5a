"""What the stream makes of the classifier: clusters of the labelled pictures, and pairs scored."""

import csv
import tempfile
from pathlib import Path
from typing import Any

from neardup.batch.pictures import pictures_of
from neardup.benchmarks.classifier_data import folder_of
from neardup.benchmarks.evaluate import evaluate
from neardup.benchmarks.figures import Figure, figure
from neardup.benchmarks.index_data import data_folder

PAIRS_A_LINK = 3.0


def rows(quick: bool, seed: int) -> list[Figure]:
    """The labelled pictures through broker, Spark and Delta; then among a crowd of flowers."""
    labelled = data_folder() / "labelled"
    alone = evaluate(labelled / "images", labelled / "groups.csv", "stream", seed)
    clusters = figure(
        "B-cubed F1 of the clusters of the labelled pictures, as the stream left them",
        "of 1",
        [alone["b3_f1"]],
        target=">= .99",
        met=alone["b3_f1"] >= 0.99,
        quality=f"pairs: precision {alone['pair_precision']:.4f}, "
        f"recall {alone['pair_recall']:.4f}, F1 {alone['pair_f1']:.4f}",
    )
    found = [clusters, pairs_a_link("the labelled pictures", alone)]
    if not quick:
        found.append(pairs_a_link("the labelled pictures among flowers", _in_a_crowd(seed)))
    return found


def pairs_a_link(of: str, run: dict[str, Any]) -> Figure:
    """How many pairs the classifier was asked about for each that it accepted."""
    share = run["pairs_scored"] / max(1, run["links"])
    return figure(
        f"pairs scored for a link in the stream: {of}",
        "pairs",
        [share],
        target=f"<= {PAIRS_A_LINK:g}",
        met=share <= PAIRS_A_LINK,
        quality=f"{run['pairs_scored']:,} pairs, {run['links']:,} links, "
        f"{run['images']:,} pictures",
    )


def _in_a_crowd(seed: int) -> dict[str, Any]:
    """Every flower counts as a group of its own; only the work is looked at."""
    labelled = data_folder() / "labelled"
    with (labelled / "groups.csv").open(newline="", encoding="utf-8") as lines:
        groups = {row["file"]: row["group"] for row in csv.DictReader(lines)}
    with tempfile.TemporaryDirectory(prefix="neardup-crowd-") as directory:
        folder = Path(directory)
        for name in groups:
            (folder / name).symlink_to(labelled / "images" / name)
        for path in pictures_of(folder_of("photos")):
            groups[f"flower-{path.name}"] = f"flower-{path.name}"
            (folder / f"flower-{path.name}").symlink_to(path)
        truth = folder / "groups.csv"
        with truth.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([("file", "group"), *groups.items()])
        return evaluate(folder, truth, "stream", seed)
