"""`neardup bench views`: what searching for further views of a picture finds, and what it costs.

As the stream decides: of all views of the newer picture the one nearest to the older upright one
speaks for the pair, and the pair is reported from the classifier's threshold on.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.batch.pictures import pictures_of
from neardup.benchmarks import viewed
from neardup.benchmarks.evaluate import read_truth
from neardup.benchmarks.figures import Figure, compared, figure
from neardup.benchmarks.viewed import KINDS, Chosen, Found, Viewed, near, scored
from neardup.models.calibration import precision_recall, threshold_at
from neardup.models.classifier import Classifier, log_odds_numpy
from neardup.models.edits import EDITS
from neardup.models.embed import MobileNetEmbedder
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.models.training import REACH, doubtful_pairs, pair_keys, true_pairs
from neardup.models.views import views

Floats = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Measure = Callable[[Chosen], tuple[float, str]]

UPRIGHT: Chosen = (0,)
SETS: Mapping[tuple[str, ...], Chosen] = MappingProxyType(
    {
        (): UPRIGHT,
        ("mirror",): (0, 1),
        ("turns",): (0, 2, 3, 4),
        ("mirror", "turns"): tuple(range(8)),
    }
)
"""Values of stream.query_views, and which of the eight views each searches for."""


def run(quick: bool, seed: int) -> list[Figure]:
    """The figures; ``quick`` takes fewer pictures. Twenty minutes of one core, or two."""
    classifier, data = Classifier.load(), viewed.data_folder()
    folders = {"demo photos": viewed.DEMO}
    if data is not None:
        folders |= {"flowers": data / "photos" / "images", "objects": data / "objects"}
    collections = {
        name: viewed.with_copies(
            viewed.some(viewed.unseen(folder), 10 if quick else 100, seed), KINDS, seed
        )
        for name, folder in folders.items()
    }
    figures = recalls(classifier, list(collections.values()))
    lower = classifier.threshold
    if data is not None:
        crowd = open_crowd([folders["flowers"], folders["objects"]], quick, seed)
        figures += false_pairs(classifier, crowd)
        lower = equal_threshold(classifier, crowd)
        figures += labelled(classifier, data / "labelled", quick, seed)
    for name, own in collections.items():
        figures += mixed(classifier, name, own, lower)
    return figures + costs(seed, repeats=3 if quick else 7)


def recalls(classifier: Classifier, collections: Sequence[Viewed]) -> list[Figure]:
    """For each kind of edit, the share of copies by which their original is found."""
    kinds = np.concatenate([own.kind for own in collections])
    found = {names: _finding(classifier, collections, SETS[names]) for names in SETS}
    groups = {kind: kinds == kind for kind in KINDS}
    groups["all edits but flips and turns"] = np.isin(kinds, [k for k in EDITS if k != "flip"])
    rows = []
    for kind, own in groups.items():
        by = {names: found[names][:, own].mean(axis=1).tolist() for names in SETS}
        others = "; ".join(
            f"{_title(names)} {score:.3f} (by Hamming {hamming:.3f})"
            for names, (score, hamming) in by.items()
            if names != ("mirror",)
        )
        score, hamming = by[("mirror",)]
        rows.append(
            figure(
                f"recall of '{kind}', upright and mirror",
                f"of {own.sum()}",
                [score],
                peer="upright",
                peer_value=by[()][0],
                quality=f"by Hamming {hamming:.3f}; {others}",
            )
        )
    return rows


def _finding(classifier: Classifier, collections: Sequence[Viewed], chosen: Chosen) -> Booleans:
    """Whether each row finds its source, bool [2, n]: by the classifier, by Hamming alone."""
    bits = int((classifier.hamming_log_odds >= classifier.threshold).sum()) - 1
    parts = []
    for own in collections:
        ways = (_reported(classifier, own, own, chosen), near(own, own, chosen, bits))
        hits = [found.newer[found.older == own.source[found.newer]] for found in ways]
        parts.append(np.stack([np.isin(np.arange(len(own.kind)), rows) for rows in hits]))
    return np.concatenate(parts, axis=1)


def _reported(classifier: Classifier, newer: Viewed, older: Viewed, chosen: Chosen) -> Found:
    found, scores = scored(classifier, newer, older, chosen, classifier.radius)
    return found.take(scores >= classifier.threshold)


class Crowd(NamedTuple):
    """Different pictures: ``newer`` are ``rows`` int64 [n] of ``older``, under all views.

    ``doubtful``: keys of pairs of rows of ``older`` that may be one picture (``models.training``).
    """

    newer: Viewed
    older: Viewed
    rows: Int64
    doubtful: Int64

    def false_scores(self, classifier: Classifier, chosen: Chosen) -> Floats:
        """Log-odds of the pairs of different pictures within REACH, highest first."""
        pairs, scores = scored(classifier, self.newer, self.older, chosen, REACH)
        left = self.rows[pairs.newer]
        clear = ~np.isin(pair_keys(left, pairs.older), self.doubtful) & (left != pairs.older)
        return -np.sort(-scores[clear])


def open_crowd(folders: Sequence[Path], quick: bool, seed: int) -> Crowd:
    """All pictures of the folders, searched for those that nothing was trained on."""
    paths = [path for folder in folders for path in pictures_of(folder)]
    paths = viewed.some(paths, 500, seed) if quick else paths
    row = {path: i for i, path in enumerate(paths)}
    asked = [path for folder in folders for path in viewed.unseen(folder) if path in row]
    older = viewed.originals(paths, under_views=False)
    newer = viewed.originals(asked, under_views=True)
    doubtful = doubtful_pairs(older.vectors[0], older.signatures[0])
    return Crowd(newer, older, np.array([row[path] for path in asked]), doubtful)


def false_pairs(classifier: Classifier, crowd: Crowd) -> list[Figure]:
    """How many pairs of different pictures are reported, among those that are not doubtful."""
    sizes = len(crowd.rows), len(crowd.older.source)
    compared_pairs = sizes[0] * (sizes[1] - 1)

    def measure(chosen: Chosen) -> tuple[float, str]:
        count = int((crowd.false_scores(classifier, chosen) >= classifier.threshold).sum())
        return count / compared_pairs * 1e6, f"{count} pairs"

    return _beside(f"false pairs a million, {sizes[0]} x {sizes[1]} pictures", measure)


def equal_threshold(classifier: Classifier, crowd: Crowd) -> float:
    """From which score on upright alone reports as many false pairs as the mirror view does."""
    mirrored = crowd.false_scores(classifier, SETS[("mirror",)])
    count = int((mirrored >= classifier.threshold).sum())
    return float(crowd.false_scores(classifier, UPRIGHT)[count - 1]) if count else np.inf


def labelled(classifier: Classifier, folder: Path, quick: bool, seed: int) -> list[Figure]:
    """Precision and recall of the pairs of pictures whose groups are known, nothing else."""
    images = folder / "images"
    groups = read_truth(folder / "groups.csv", images)
    files = viewed.some([images / name for name in groups], 200 if quick else len(groups), seed)
    own = viewed.originals(files, under_views=True)
    names = [groups[str(path.relative_to(images))] for path in files]
    _, group = np.unique(names, return_inverse=True)
    true = len(true_pairs(group).same)

    def measure(chosen: Chosen) -> tuple[float, str]:
        pairs, scores = scored(classifier, own, own, chosen, REACH)
        once = pairs.newer > pairs.older
        pairs, by = pairs.take(once), scores[once].astype(np.float64)
        same = group[pairs.newer] == group[pairs.older]
        precision, recall = precision_recall(by, same, true, classifier.threshold)
        best = precision_recall(by, same, true, threshold_at(by, same, 0.99))[1]
        return precision, f"recall {recall:.4f}; at precision .99 {best:.4f}"

    precisions = _beside("precision, labelled pictures", measure, target=0.99)
    return [*precisions, *_recognised(classifier, own)]


def _recognised(classifier: Classifier, own: Viewed) -> list[Figure]:
    """The pictures whose mirror image, or half and quarter turns, are reported without any view."""
    found = [log_odds_numpy(classifier, seen, own.signatures[0]) for seen in own.signatures[1:5]]
    mirror, *turns = (float((scores >= classifier.threshold).mean()) for scores in found)
    return [
        figure("labelled pictures that are reported mirrored, upright alone", "", [mirror]),
        figure("... turned by 90, 180, 270 degrees", "", turns),
    ]


def mixed(classifier: Classifier, name: str, own: Viewed, lower: float) -> list[Figure]:
    """Precision over all pairs of pictures and copies by every edit, turns left out.

    Beside it recall, and upright alone that of the threshold ``lower`` too.
    """
    ordinary = np.isin(own.kind, ["", *EDITS])
    source = own.source
    pictures = source == np.arange(len(source))
    doubtful = doubtful_pairs(own.vectors[0, pictures], own.signatures[0, pictures])
    true = len(true_pairs(source[ordinary]).same)

    def measure(chosen: Chosen) -> tuple[float, str]:
        pairs, scores = scored(classifier, own, own, chosen, REACH)
        same = source[pairs.newer] == source[pairs.older]
        doubted = np.isin(pair_keys(source[pairs.newer], source[pairs.older]), doubtful) & ~same
        kept = (pairs.newer > pairs.older) & ~doubted
        kept &= ordinary[pairs.newer] & ordinary[pairs.older]
        by, same = scores[kept].astype(np.float64), same[kept]
        precision, recall = precision_recall(by, same, true, classifier.threshold)
        other = precision_recall(by, same, true, lower)[1]
        more = f"; from {lower:.2f} on {other:.4f}" if chosen == UPRIGHT else ""
        return precision, f"recall {recall:.4f}{more}"

    return _beside(f"precision, {name} and copies", measure, target=0.99)


def costs(seed: int, repeats: int) -> list[Figure]:
    """Milliseconds of processor time a picture, from pixels to all its signatures."""
    chosen = viewed.some(viewed.unseen(viewed.DEMO), 30, seed)
    pictures = [decode(path.read_bytes()) for path in chosen]
    embedder, hasher = MobileNetEmbedder(), Hasher.load()
    taken: dict[tuple[str, ...], list[float]] = {names: [] for names in SETS}
    for _ in range(repeats):
        for names, own in taken.items():
            begin = time.process_time()
            shown = [image for p in pictures for image in (p, *views(p, names))]
            hasher.sign(embedder.embed(shown))
            own.append(1e3 * (time.process_time() - begin) / len(pictures))
    return [
        compared(f"pixels to signatures, {_title(names)}", "ms", own, "upright", taken[()])
        for names, own in taken.items()
    ]


def _beside(name: str, measure: Measure, target: float | None = None) -> list[Figure]:
    """A figure for each set of views, with upright alone as its peer."""
    upright = measure(UPRIGHT)[0]
    rows = []
    for names, chosen in SETS.items():
        value, quality = measure(chosen)
        row = figure(f"{name}: {_title(names)}", "", [float(value)], quality=quality)
        row.peer, row.peer_value = "upright", float(upright)
        if target is not None:
            row.target, row.met = f">= {target}", bool(value >= target)
        rows.append(row)
    return rows


def _title(names: Sequence[str]) -> str:
    return " and ".join(["upright", *names])
