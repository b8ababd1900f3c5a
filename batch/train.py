"""From folders of pictures to a hasher and a classifier.

Edited copies of every picture give the truth: copies of one picture are the same, pictures of two
names are not, unless they are so alike that nobody knows. Every eighth picture, by its name, is
held out of all learning; scale and thresholds come from those.
"""

import csv
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from neardup.batch.pictures import Embedded, Recipe, embed_folders
from neardup.batch.reliability import reliability_svg
from neardup.models.artifact import content_hash
from neardup.models.calibration import Reliability
from neardup.models.classifier import Classifier
from neardup.models.crowd import LAST
from neardup.models.decisions import decide, held_out_reliability
from neardup.models.hasher import Hasher, learn_hasher
from neardup.models.looks import learn_looks
from neardup.models.student import PRESETS, train_student
from neardup.models.training import (
    Int64,
    Labelled,
    doubtful_pairs,
    pair_keys,
)
from neardup.schemas.errors import SettingsError, TrainingError

LABELS = ("same", "other", "unsure")
HELD_OUT = 8  # one picture in so many
FEWEST = 2 * LAST  # pictures: a crowd of the others, and some held out


@dataclass(frozen=True)
class Trained:
    """What training made, its figures on the held-out pictures, by folder, and their chances."""

    hasher: Hasher
    classifier: Classifier
    figures: dict[str, Any]
    reliability: Reliability


def train(
    images: Sequence[Path],
    out: Path,
    seed: int = 1,
    *,
    embedder: str = "mobilenet_v1",
    weights: Path | None = None,
    copies: int = 6,
    processes: int = 1,
    without: Iterable[str] = (),
    preset: str = "default",
    verdicts: Path | None = None,
    cache: Path | None = None,
) -> Trained:
    """Learn from the pictures below the folders ``images``; write hasher and classifier to ``out``.

    ``copies``: edited copies of each picture. ``without``: names of files to leave out. ``preset``:
    the size of the net (``models.student.PRESETS``). ``verdicts``: what a teacher says of pairs of
    pictures, a CSV of folder, left, right and label (same, other, unsure). ``cache``: where
    embeddings and the half-trained net are kept, ``out``/cache if None; a training that was killed
    goes on from there. The same pictures, seed and versions give the same artifacts.

    Raises SettingsError for a folder without pictures, ArtifactError for an unknown embedder and
    TrainingError where there is nothing to learn.
    """
    cache = cache or out / "cache"
    recipe = Recipe(embedder, weights, copies, seed)
    embedded = embed_folders(
        images, recipe, processes=processes, without=without, cache=cache / "embeddings"
    )
    folders = [folder.name for folder in images]
    judged = read_verdicts(verdicts, embedded, folders) if verdicts else None
    trained = learn(embedded, folders, recipe, preset, judged, cache / "net.npz")
    card = {
        "seed": seed,
        "copies": copies,
        "preset": preset,
        "trained_on": fingerprint(embedded),
        "figures": trained.figures,
    }
    trained.hasher.save(out / "hasher.npz", card)
    trained.classifier.save(out / "classifier.npz", card)
    (out / "reliability.svg").write_text(reliability_svg(trained.reliability), "utf-8")
    return trained


def learn(
    embedded: Embedded,
    folders: Sequence[str],
    recipe: Recipe,
    preset: str = "default",
    verdicts: Int64 | None = None,
    checkpoint: Path | None = None,
) -> Trained:
    """Hasher, net, scale and thresholds from embeddings; the part of ``train`` without pictures.

    Raises TrainingError where there is nothing to learn.
    """
    check(embedded)
    held = held_out(embedded.names)
    held_copies = held[embedded.source]
    kept = np.cumsum(~held) - 1
    source = kept[embedded.source[~held_copies]]
    looks = learn_looks(
        embedded.original_looks[~held], embedded.edited_looks[~held_copies], source, recipe.seed
    )
    hasher = learn_hasher(
        embedded.originals[~held],
        embedded.edited[~held_copies],
        source,
        recipe.seed,
        embedder=recipe.embedder,
        looks=looks,
    )
    labelled = signed(hasher, embedded, verdicts)
    learned = labelled.take(~held[labelled.source])
    with tqdm(desc="train", unit="step") as bar:
        net = train_student(
            learned,
            replace(PRESETS[preset], seed=recipe.seed),
            checkpoint=checkpoint,
            progress=lambda done, steps, loss: _show(bar, done, steps, loss),
        )
    kinds = {
        name: labelled.take(held[labelled.source] & (embedded.folder[labelled.source] == i))
        for i, name in enumerate(folders)
    }
    classifier, figures = decide(net, hasher.version, kinds, learned)
    counts = {"pictures": len(held), "held_out": int(held.sum())}
    found = held_out_reliability(classifier, kinds.values())
    return Trained(hasher, classifier, {**counts, **figures}, found)


def read_verdicts(path: Path, embedded: Embedded, folders: Sequence[str]) -> Int64:
    """Keys int64 of the pairs that a teacher calls the same or is unsure of: doubtful ones.

    ``path``: a CSV with the columns folder, left, right and label. Pairs of pictures that are not
    there are passed over. What it calls other changes nothing: two frames of a burst, two views of
    one brain or two drawings of one sign stay doubtful, as people disagree about them. Raises
    SettingsError for another file.
    """
    known = zip(embedded.folder.tolist(), embedded.names, strict=True)
    rows = {(folders[folder], name): row for row, (folder, name) in enumerate(known)}
    keys = []
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            sides = [(line.get("folder"), line.get(side)) for side in ("left", "right")]
            if line.get("label") not in LABELS:
                raise SettingsError(
                    f"{path} has a line with the label {line.get('label')!r}: give a CSV with the "
                    f"columns folder, left, right and label, which is {', '.join(LABELS)}."
                )
            if line["label"] != "other" and all(side in rows for side in sides):
                left, right = (np.array(rows[side], np.int64) for side in sides)  # type: ignore[index]
                keys.append(int(pair_keys(left, right)))
    return np.array(keys, np.int64)


def check(embedded: Embedded) -> None:
    """Raise TrainingError unless there is something to learn from."""
    pictures = len(embedded.names)
    if pictures < FEWEST:
        raise TrainingError(
            f"{pictures} readable picture{'s' if pictures != 1 else ''}: at least {FEWEST} are "
            "needed, some thousands to be of use. Give --images more."
        )
    for name, vectors in (("pictures", embedded.originals), ("copies", embedded.edited)):
        lost = int((~np.isfinite(vectors).all(axis=1)).sum())
        if lost:
            raise TrainingError(
                f"The embeddings of {lost} of {len(vectors)} {name} hold values that are no "
                "numbers: the embedder or its weights are damaged."
            )
    if (embedded.originals == embedded.originals[0]).all():
        raise TrainingError(
            f"All {pictures} pictures are equal to the network: nothing tells them apart. "
            "Give --images pictures of different things."
        )


def fingerprint(embedded: Embedded) -> str:
    """SHA-256 of what was learned from: names, embeddings, looks and edits."""
    text = "\n".join([*embedded.names, *embedded.edits]).encode()
    return content_hash(
        {
            "text": np.frombuffer(text, np.uint8),
            "originals": embedded.originals,
            "edited": embedded.edited,
            "original_looks": embedded.original_looks,
            "edited_looks": embedded.edited_looks,
        }
    )


def held_out(names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which pictures are held out, bool [n]: a matter of the name alone."""
    return np.array([zlib.crc32(name.encode()) % HELD_OUT == 0 for name in names])


def signed(hasher: Hasher, embedded: Embedded, verdicts: Int64 | None) -> Labelled:
    """Signatures of all pictures and copies, with their sources and what is doubtful."""
    pictures = hasher.sign(embedded.originals)
    edits = np.array([name.count("+") + 1 for name in embedded.edits])
    doubtful = doubtful_pairs(embedded.originals, pictures)
    if verdicts is not None:
        doubtful = np.union1d(doubtful, verdicts)
    return Labelled(
        signatures=np.concatenate([pictures, hasher.sign(embedded.edited)]),
        looks=np.concatenate(
            [hasher.sign_looks(embedded.original_looks), hasher.sign_looks(embedded.edited_looks)]
        ),
        source=np.concatenate([np.arange(len(embedded.names)), embedded.source]),
        edits=np.concatenate([np.zeros(len(embedded.names), np.int64), edits]),
        doubtful=doubtful,
    )


def _show(bar: Any, done: int, steps: int, loss: float) -> None:
    bar.total = steps
    bar.set_postfix(loss=f"{loss:.3f}")
    bar.update(done - bar.n)
