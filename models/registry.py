"""The classifiers of a lake: kept beside its tables, named by their versions.

``_models/VERSION.npz`` and its card are a classifier, ``_models/wanted.json`` is what people asked
for. The stream looks at that file between two batches, takes the classifier into use, and says so
in the table `models`, with the batch from which on it holds. So a swap needs no restart, and what
decided about a pin stays known.
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from neardup.models.classifier import BUNDLED, Classifier
from neardup.schemas.errors import ArtifactError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings

STREAM, SHADOW = "stream", "shadow"
"""Roles: the classifier that decides, and one that scores beside it and changes nothing."""


class Registry:
    """The classifiers in the folder ``_models`` of a lake, and the facts in its table `models`."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self.folder = lake.path / "_models"

    def versions(self) -> list[str]:
        """The versions at hand, by name."""
        return sorted(path.stem for path in self.folder.glob("*.npz"))

    def add(self, path: Path | None) -> Classifier:
        """Keep a copy of the classifier at ``path``, the bundled one if None. Raises ArtifactError.

        It is read first: what is damaged does not come in. Adding it again changes nothing.
        """
        classifier = Classifier.load(path)
        if classifier.version not in self.versions():
            source = (path or BUNDLED).with_suffix(".npz")
            self.folder.mkdir(exist_ok=True)
            # The card first: a version is at hand when its arrays are.
            for suffix in (".json", ".npz"):
                part = self.folder / f"{classifier.version}{suffix}.part"
                shutil.copyfile(source.with_suffix(suffix), part)
                part.rename(self.folder / f"{classifier.version}{suffix}")
        return classifier

    def load(self, version: str) -> Classifier:
        """The classifier of that version. Raises ArtifactError if it is not here or not whole."""
        if version not in self.versions():
            known = ", ".join(self.versions()) or "none yet"
            raise ArtifactError(
                f"There is no classifier {version} in {self.folder}; there are: {known}. "
                "`neardup models add FILE` brings one in."
            )
        classifier = Classifier.load(self.folder / f"{version}.npz")
        if classifier.version != version:
            raise ArtifactError(
                f"{self.folder / version}.npz holds {classifier.version}: it was renamed. Remove "
                "it, and bring the right one in with `neardup models add FILE`."
            )
        return classifier

    def card(self, version: str) -> dict[str, Any]:
        """How a classifier was trained, and its figures."""
        card: dict[str, Any] = json.loads((self.folder / f"{version}.json").read_text("utf-8"))
        return card

    @property
    def wanted_file(self) -> Path:
        return self.folder / "wanted.json"

    def wanted(self) -> dict[str, str | None]:
        """Role -> version, as people asked for; a role that nobody spoke of is not in it.

        Raises ArtifactError if the file does not say that.
        """
        try:
            wanted = json.loads(self.wanted_file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise self._not_wanted(str(error)) from None
        known = isinstance(wanted, dict) and set(wanted) <= {STREAM, SHADOW}
        if not known or not all(isinstance(v, str | None) for v in wanted.values()):
            raise self._not_wanted(f"it holds {wanted!r}")
        if wanted.get(STREAM, "") is None:
            raise self._not_wanted("it names no classifier for the stream")
        return dict(wanted)

    def _not_wanted(self, why: str) -> ArtifactError:
        return ArtifactError(
            f"{self.wanted_file} does not say which classifier is wanted ({why}): "
            "write it with `neardup models use VERSION`."
        )

    def want(self, role: str, version: str | None, hasher_version: str) -> None:
        """Ask the stream for a classifier, from its next batch on; None: no shadow.

        Raises ArtifactError if there is none of that version, or it is damaged, or takes the
        signatures of another hasher.
        """
        if version is not None:
            self.load(version).check_hasher(hasher_version)
        wanted = {**self.wanted(), role: version}
        self.folder.mkdir(exist_ok=True)
        part = self.wanted_file.with_suffix(".part")
        part.write_text(json.dumps(wanted) + "\n", "utf-8")
        part.rename(self.wanted_file)

    def uses(self) -> list[dict[str, Any]]:
        """The rows of the table `models`, the oldest first."""
        rows: list[dict[str, Any]] = self._lake.read("models").sort_by("sequence").to_pylist()
        return rows

    def in_use(self, role: str) -> str | None:
        """The version that the stream took into use last; None if none."""
        rows = self._lake.read("models", ["sequence", "version"], ds.field("role") == role)
        versions = rows.sort_by("sequence")["version"].to_pylist()
        return versions[-1] if versions else None

    def took(self, role: str, version: str | None, batch_seq: int) -> None:
        """Write down that a classifier is used from batch ``batch_seq`` on."""
        row = {
            "sequence": self._lake.dataset("models").count_rows(),
            "role": role,
            "version": version,
            "batch_seq": batch_seq,
            "written_at": datetime.now(UTC),
        }
        self._lake.append_rows("models", [row])


def classifier_of(lake: Lake, settings: Settings) -> Classifier:
    """The classifier that decides in this lake; that of the settings before its first stream.

    Raises ArtifactError.
    """
    registry = Registry(lake)
    version = registry.in_use(STREAM)
    return registry.load(version) if version else Classifier.load(settings.models.classifier)
