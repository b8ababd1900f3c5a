"""Classifiers beside the bundled one, for tests of swaps and shadows."""

from pathlib import Path

from neardup.models.classifier import Classifier


def variant(threshold: float = 0.0, hasher_version: str | None = None) -> Classifier:
    """The bundled classifier with its thresholds raised by ``threshold``, or of another hasher."""
    bundled = Classifier.load()
    arrays = bundled.to_arrays()
    arrays["threshold"] += threshold
    arrays["trusted"] += threshold
    arrays["hasher_version"] = hasher_version or bundled.hasher_version
    return Classifier.from_arrays(arrays)


def saved(path: Path, threshold: float = 0.0, hasher_version: str | None = None) -> Path:
    """Write that variant; its path."""
    variant(threshold, hasher_version).save(path, {"figures": {}})
    return path
