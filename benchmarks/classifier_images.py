"""Pictures a second from their bytes to embeddings, beside the bundled network called alone."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import numpy as np

from neardup.batch.pictures import pictures_of
from neardup.benchmarks.classifier_data import folder_of
from neardup.benchmarks.figures import Figure, compared
from neardup.benchmarks.index_data import data_folder
from neardup.models.embed import MobileNetEmbedder
from neardup.models.images import decode


def rows(quick: bool, seed: int) -> list[Figure]:
    """One process a core; of each kind of pictures the same number."""
    cores, each, repeats = os.cpu_count() or 1, 20 if quick else 60, 3 if quick else 7
    folders = [folder_of("photos"), folder_of("objects"), data_folder() / "labelled" / "images"]
    rng = np.random.default_rng(seed)
    chosen = [path for f in folders for path in rng.choice(np.array(pictures_of(f)), each).tolist()]
    data = [path.read_bytes() for path in chosen]
    context = get_context("spawn")  # threads of LiteRT would not survive a fork
    with ProcessPoolExecutor(cores, context) as pool:

        def seconds(call: "type[Decoding] | type[Network]") -> float:
            begin = time.perf_counter()
            list(pool.map(call.run, [data] * cores))
            return time.perf_counter() - begin

        seconds(Decoding)
        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(seconds(Decoding))
            theirs.append(seconds(Network))
    row = compared(
        f"pictures decoded and embedded, {cores} processes",
        "pictures/s",
        [cores * len(data) / s for s in ours],
        "the network's interpreter alone, in the same processes",
        [cores * len(data) / s for s in theirs],
        target="ratio >= .8",
        quality=f"{each} pictures each of photos/, objects/ and labelled/, "
        f"{np.mean([len(one) for one in data]) / 1024:.0f} KiB on average; time on the wall",
    )
    row.met = row.ratio is not None and row.ratio >= 0.8
    return [row]


class Decoding:
    """From bytes to embeddings, as the stream does it."""

    @staticmethod
    def run(data: list[bytes]) -> None:
        embedder().embed([decode(one) for one in data])


class Network:
    """The interpreter, once for each picture, on pixels that are there."""

    @staticmethod
    def run(data: list[bytes]) -> None:
        pixels = np.random.default_rng(1).integers(0, 256, (224, 224, 3), np.uint8)
        for _ in data:
            embedder().vector(pixels)


@cache
def embedder() -> MobileNetEmbedder:
    return MobileNetEmbedder()
