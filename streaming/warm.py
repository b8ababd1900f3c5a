"""Models loaded, and kernels compiled, before the first event needs them.

TensorFlow takes seconds to load, and Spark ends Python workers that were idle for a minute, so the
stream asks for this at its start, if nothing waits, and again whenever nothing came for a while.
"""

import time
from typing import Any

import numpy as np
from PIL import Image

from neardup.index.ids import id_hashes
from neardup.index.search import search
from neardup.index.segment import build_segment, decode_segment
from neardup.index.store import SIGNATURE_BYTES
from neardup.index.terms import TermPlan
from neardup.schemas.settings import ModelSettings
from neardup.streaming.candidates import scorer_of
from neardup.streaming.garbage import keep_what_is_loaded
from neardup.streaming.hashing import embedder_of, hasher_of
from neardup.streaming.workers import HOLD_SECONDS, Batches


def warm_worker(models: ModelSettings, classifiers: Any, batches: Batches) -> Batches:
    """For ``mapInArrow``: pass the rows on, and hash, search and score once on the way."""
    picture = Image.new("RGB", (64, 64))
    signature = hasher_of(models.hasher).sign(embedder_of(models).embed([picture]))
    rehearse_search()
    for arrays in classifiers.value:
        scorer_of(arrays).loaded().log_odds(signature, np.invert(signature))
    keep_what_is_loaded()
    time.sleep(HOLD_SECONDS)
    yield from batches


def rehearse_search() -> None:
    """Search a segment of one pin: now the kernels are compiled."""
    signature, first = np.zeros((1, SIGNATURE_BYTES), np.uint8), np.zeros(1, np.int64)
    built = build_segment((0, 1), first, signature, id_hashes(["a pin"]), first, TermPlan())
    search(decode_segment(built.segment_id, built.blocks), signature, radius=0)
