"""Are embedder, hasher and classifier of the settings whole, and made for each other?"""

from neardup.models.classifier import Classifier
from neardup.models.embed import MOBILENET, MOBILENET_SHA256, read_checked
from neardup.models.hasher import Hasher
from neardup.schemas.errors import ArtifactError
from neardup.schemas.settings import ModelSettings


def verify_artifacts(models: ModelSettings) -> str:
    """Check checksums and versions without loading a network; what was found, in one line.

    Raises ArtifactError.
    """
    if models.embedder == "mobilenet_v1":
        read_checked(MOBILENET, MOBILENET_SHA256)
    hasher, classifier = Hasher.load(models.hasher), Classifier.load(models.classifier)
    classifier.check_hasher(hasher.version)
    if hasher.embedder != models.embedder:
        raise ArtifactError(
            f"models.embedder is {models.embedder!r}, but the hasher {hasher.version} takes "
            f"vectors of {hasher.embedder!r}: set models.hasher to one trained on the former."
        )
    return f"{models.embedder}, hasher {hasher.version}, classifier {classifier.version}"
