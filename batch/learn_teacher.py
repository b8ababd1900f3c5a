"""`python -m neardup.batch.learn_teacher OUT FOLDER...`: a teacher from folders of pictures.

Every eighth picture, by its name, is held out, as for the classifier; figures come from those.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from neardup.batch.pictures import Recipe, embed_folders, files_of
from neardup.batch.teach import figures, known_pairs, natural, teach
from neardup.batch.train import held_out
from neardup.models.hasher import Hasher
from neardup.models.teacher import Teacher

SOURCES = 800


def learn_teacher(
    images: Sequence[Path],
    out: Path,
    *,
    sources: int = SOURCES,
    seed: int = 1,
    processes: int = 1,
    without: Iterable[str] = (),
) -> Teacher:
    """Learn from ``sources`` pictures below ``images``, judge on half as many, write ``out``.

    Look-alikes are found with the bundled hasher. The same pictures, seed and versions give the
    same teacher. ``without``: names of files to leave out. Raises SettingsError for folders without
    pictures and ArtifactError where there is nothing to tell apart.
    """
    hasher = Hasher.load()
    recipe = Recipe(hasher.embedder, None, 0, seed)
    embedded = embed_folders(images, recipe, processes=processes, without=without)
    files = files_of(embedded, images)
    signatures, held = hasher.sign(embedded.originals), held_out(embedded.names)
    parts = []
    for keep, count in ((~held, sources), (held, sources // 2)):
        rows = np.flatnonzero(keep)
        some = [files[row] for row in rows]
        pairs = known_pairs(some, signatures[rows], sources=count, seed=seed, processes=processes)
        parts.append(pairs)
    learned, judged = parts
    teacher = teach(learned)
    alike = natural(teacher, judged)
    card = {
        "seed": seed,
        "sources": len(set(learned.left.tolist())),
        "held_out": figures(teacher, judged),
        "held_out_without_natural_duplicates": figures(teacher, judged.take(~alike)),
    }
    teacher.save(out, card)
    return teacher


if __name__ == "__main__":
    folders = [Path(folder) for folder in sys.argv[2:]]
    made = learn_teacher(folders, Path(sys.argv[1]), processes=os.cpu_count() or 1)
    print(f"wrote {made.version} to {sys.argv[1]}")
