"""How often the teacher is right: pairs of known truth from pictures that nothing was trained on.

Collections hold natural duplicates, pairs of pictures that are one and count as two. Those that the
teacher finds among the untouched pictures are left out, with all that was made of them; what it
does with them in is said beside it.
"""

import os

import numpy as np

from neardup.batch.teach import figures, known_pairs, natural
from neardup.benchmarks.classifier_data import KINDS, Pictures
from neardup.benchmarks.figures import Figure, figure
from neardup.models.teacher import Teacher


def rows(pictures: Pictures, quick: bool, seed: int) -> list[Figure]:
    """Precision and recall on held-out photos and objects together."""
    teacher = Teacher.load()
    parts = [pictures.held_out_files(kind) for kind in KINDS]
    files = [path for paths, _ in parts for path in paths]
    pairs = known_pairs(
        files,
        np.concatenate([codes.signatures for _, codes in parts]),
        sources=40 if quick else 300,
        seed=seed,
        processes=os.cpu_count() or 1,
    )
    duplicates = natural(teacher, pairs)
    mined, whole = figures(teacher, pairs.take(~duplicates)), figures(teacher, pairs)
    beside = (
        f"{mined['true_pairs']:,} true pairs, {mined['false_pairs']:,} of look-alikes; with "
        f"{int(duplicates.sum())} natural duplicates in: {whole['precision']:.4f}, "
        f"{whole['recall']:.4f}; unsure of {mined['unsure']:.1%}"
    )
    return [
        figure(
            f"teacher on held-out pictures: {name}",
            "of 1",
            [mined[name]],
            target=f">= {least:g}",
            met=mined[name] >= least,
            quality=beside if name == "precision" else None,
        )
        for name, least in (("precision", 0.99), ("recall", 0.985))
    ]
