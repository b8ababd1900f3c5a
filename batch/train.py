"""From folders of pictures to a hasher and a classifier.

Edited copies of every picture give the truth: copies of one picture are the same, pictures of two
names are not, unless they are so alike that nobody knows. Every eighth picture, by its name, is
held out of all learning; scale and thresholds come from those.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.batch.pictures import Embedded, Recipe, embed_folders
from neardup.models.classifier import Classifier
from neardup.models.decisions import decide
from neardup.models.hasher import Hasher, learn_hasher
from neardup.models.training import (
    Labelled,
    Training,
    doubtful_pairs,
    train_net,
    training_pairs,
)

HELD_OUT = 8  # one picture in so many


@dataclass(frozen=True)
class Trained:
    """What training made, and its figures on the held-out pictures, by folder."""

    hasher: Hasher
    classifier: Classifier
    figures: dict[str, Any]


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
) -> Trained:
    """Learn from the pictures below the folders ``images``; write hasher and classifier to ``out``.

    ``copies``: edited copies of each picture. ``without``: names of files to leave out. The same
    pictures, seed and versions give the same artifacts. Raises SettingsError for a folder without
    pictures and ArtifactError for an unknown embedder.
    """
    recipe = Recipe(embedder, weights, copies, seed)
    embedded = embed_folders(images, recipe, processes=processes, without=without)
    trained = learn(embedded, [folder.name for folder in images], recipe)
    card = {"seed": seed, "copies": copies, "figures": trained.figures}
    trained.hasher.save(out / "hasher.npz", card)
    trained.classifier.save(out / "classifier.npz", card)
    return trained


def learn(embedded: Embedded, folders: Sequence[str], recipe: Recipe) -> Trained:
    """Hasher, net, scale and thresholds from embeddings; the part of ``train`` without pictures."""
    held = held_out(embedded.names)
    held_copies = held[embedded.source]
    kept = np.cumsum(~held) - 1
    hasher = learn_hasher(
        embedded.originals[~held],
        embedded.edited[~held_copies],
        kept[embedded.source[~held_copies]],
        recipe.seed,
        embedder=recipe.embedder,
    )
    labelled = _signed(hasher, embedded)
    learned = labelled.take(~held[labelled.source])
    pairs = training_pairs(learned, recipe.seed)
    net = train_net(learned, pairs, Training(seed=recipe.seed))
    kinds = {
        name: labelled.take(held[labelled.source] & (embedded.folder[labelled.source] == i))
        for i, name in enumerate(folders)
    }
    classifier, figures = decide(net, hasher.version, kinds)
    counts = {"pictures": len(held), "held_out": int(held.sum()), "training_pairs": len(pairs.same)}
    return Trained(hasher, classifier, {**counts, **figures})


def held_out(names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which pictures are held out, bool [n]: a matter of the name alone."""
    return np.array([zlib.crc32(name.encode()) % HELD_OUT == 0 for name in names])


def _signed(hasher: Hasher, embedded: Embedded) -> Labelled:
    """Signatures of all pictures and copies, with their sources and what is doubtful."""
    pictures = hasher.sign(embedded.originals)
    edits = np.array([name.count("+") + 1 for name in embedded.edits])
    return Labelled(
        signatures=np.concatenate([pictures, hasher.sign(embedded.edited)]),
        source=np.concatenate([np.arange(len(embedded.names)), embedded.source]),
        edits=np.concatenate([np.zeros(len(embedded.names), np.int64), edits]),
        doubtful=doubtful_pairs(embedded.originals, pictures),
    )
