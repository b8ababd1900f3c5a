"""Why are two pins linked, or why not? Terms, bits, the classifier, and what the teacher sees.

All but the teacher's part comes from the tables. The teacher needs the pictures; OpenCV is loaded
only if both are there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from neardup.answers.pins import Link, Pin, link_between, live_pin
from neardup.index.plans import current_plan
from neardup.index.terms import TermPlan, matches
from neardup.models.classifier import Classifier, judged_numpy
from neardup.models.comparison import FEATURES, Comparison, compare
from neardup.models.images import decode
from neardup.models.local_features import LocalFeatures, local_features
from neardup.models.looks import present, unlike
from neardup.models.registry import classifier_of
from neardup.models.teacher import Teacher
from neardup.schemas.errors import BadEvent, SettingsError
from neardup.schemas.events import read_uri
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings


class Picture(NamedTuple):
    """A pin's picture and where it came from; without one ``source`` says why."""

    image: Image.Image | None
    source: str


@dataclass(frozen=True)
class Sight:
    """What the teacher sees: its verdict, the share of like pairs that are the same, the features.

    ``transform`` float64 [3, 3]: pixels (x, y, 1) of the left picture to those of the right one, a
    mirror included; None if nothing agreed.
    """

    teacher: str
    verdict: str
    probability: float
    looks: tuple[LocalFeatures, LocalFeatures]
    comparison: Comparison
    transform: npt.NDArray[np.float64] | None

    @property
    def features(self) -> dict[str, float]:
        return dict(zip(FEATURES, self.comparison.features.tolist(), strict=True))


@dataclass(frozen=True)
class Explanation:
    """Two pins, left and right: how near they are and what was decided.

    ``overlap``: bands of ``plan`` in which they match; ``hamming``: differing bits; ``log_odds``:
    what ``classifier`` gives them now; ``unlike``: differing bits of shapes and of colours, None
    unless the looks of both are known; ``link``: what stands in ``pins``, by the model of its time.
    """

    left: Pin
    right: Pin
    plan: TermPlan
    overlap: int
    hamming: int
    classifier: Classifier
    log_odds: float
    unlike: tuple[int, int] | None
    link: Link | None
    pictures: tuple[Picture, Picture]
    sight: Sight | None

    @property
    def probability(self) -> float:
        return float(self.classifier.probability(np.array([self.log_odds], np.float32))[0])

    @property
    def duplicate(self) -> bool:
        """Whether the classifier reports the pair (precision .99)."""
        return self.log_odds >= self.classifier.threshold

    @property
    def candidates(self) -> bool:
        """Whether a search for one finds the other and asks the classifier at all."""
        near = self.hamming <= self.classifier.radius
        return near and self.overlap >= self.plan.min_overlap


def explain(
    settings: Settings, pins: tuple[str, str], files: tuple[Path | None, Path | None] = (None, None)
) -> Explanation:
    """Compare two live pins; ``files`` are pictures to look at instead of the pins' own.

    Raises LakeError for an unknown or deleted pin, SettingsError for an unreadable file, and
    ArtifactError for models that do not belong to the lake's signatures.
    """
    lake = Lake(settings.lake.path)
    left, right = (live_pin(lake, pin_id) for pin_id in pins)
    classifier = classifier_of(lake, settings)
    for pin in (left, right):
        classifier.check_hasher(pin.hasher)
    plan = current_plan(lake)
    a, b = left.signature[None], right.signature[None]
    first = _picture(settings, left, files[0])
    second = _picture(settings, right, files[1])
    return Explanation(
        left=left,
        right=right,
        plan=plan,
        overlap=int(matches(plan, a, b)[0]),
        hamming=int(np.bitwise_count(a ^ b).sum()),
        classifier=classifier,
        log_odds=float(judged_numpy(classifier, a, b, left.looks[None], right.looks[None])[0]),
        unlike=_unlike(left, right),
        link=link_between(lake, left, right),
        pictures=(first, second),
        sight=look(first.image, second.image) if first.image and second.image else None,
    )


def look(left: Image.Image, right: Image.Image, teacher: Teacher | None = None) -> Sight:
    """Have the teacher (the bundled one) compare two pictures. Loads OpenCV."""
    teacher = teacher or Teacher.load()
    looks = local_features(left), local_features(right)
    comparison = compare(*looks)
    features = comparison.features[None]
    return Sight(
        teacher=teacher.version,
        verdict=teacher.verdicts(features)[0],
        probability=float(teacher.probability(features)[0]),
        looks=looks,
        comparison=comparison,
        transform=_between_pictures((left, right), looks, comparison),
    )


def _unlike(left: Pin, right: Pin) -> tuple[int, int] | None:
    looks = left.looks[None], right.looks[None]
    if not present(*looks)[0]:
        return None
    shapes, colours = unlike(*looks)
    return int(shapes[0]), int(colours[0])


def _picture(settings: Settings, pin: Pin, file: Path | None) -> Picture:
    """The file if one is given, else what image_uri names, else the thumbnail."""
    events, missing = settings.events, []
    if file is not None:
        try:
            return Picture(decode(file.read_bytes(), max_pixels=events.max_pixels), str(file))
        except (BadEvent, OSError) as error:
            raise SettingsError(
                f"Cannot read the picture {file} ({error}): give another."
            ) from None
    if pin.image_uri is not None:
        try:
            data = read_uri(pin.image_uri, events.allowed_roots, events.max_image_bytes)
            return Picture(decode(data, max_pixels=events.max_pixels), pin.image_uri)
        except BadEvent as error:
            missing.append(f"image_uri cannot be read ({error})")
    if pin.thumbnail is not None:
        image = decode(pin.thumbnail)
        source = f"thumbnail of {image.width} x {image.height} pixels"
        return Picture(image, ", ".join([*missing, source]))
    return Picture(None, ", ".join(missing) or "the lake keeps none of it")


def _between_pictures(
    images: tuple[Image.Image, Image.Image],
    looks: tuple[LocalFeatures, LocalFeatures],
    comparison: Comparison,
) -> npt.NDArray[np.float64] | None:
    """The alignment in pixels of the pictures as they are, not as the teacher scaled them."""
    if comparison.alignment is None:
        return None
    left, right = (
        np.diag([look.width / image.width, look.height / image.height, 1.0])
        for image, look in zip(images, looks, strict=True)
    )
    mirror = np.eye(3)
    if comparison.mirror:
        mirror[0] = [-1, 0, looks[0].width - 1]
    aligned = np.vstack([comparison.alignment.transform, [0, 0, 1]])
    between: npt.NDArray[np.float64] = np.linalg.inv(right) @ aligned @ mirror @ left
    return between
