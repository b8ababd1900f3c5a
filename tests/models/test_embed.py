"""The bundled network, what it refuses, and what an event's own vector must be."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neardup.models.embed import MOBILENET, MobileNetEmbedder, check_embedding, open_embedder
from neardup.schemas.errors import ArtifactError, BadEvent


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(7)
    small = [rng.integers(0, 256, (6, 9, 3), dtype=np.uint8) for _ in range(count)]
    return [Image.fromarray(pixels).resize((90, 60)) for pixels in small]


def test_a_vector_is_the_same_in_any_company() -> None:
    embedder = open_embedder("mobilenet_v1")
    images = pictures(5)
    together = embedder.embed(images)
    assert together.dtype == np.float32
    assert together.shape == (5, embedder.dim)
    assert len(np.unique(together, axis=0)) == 5
    for row, image in enumerate(images):
        np.testing.assert_array_equal(embedder.embed([image])[0], together[row])
    again = open_embedder("mobilenet_v1").embed(images[::-1])[::-1]
    np.testing.assert_array_equal(again, together)


def test_no_pictures_no_vectors() -> None:
    assert open_embedder("mobilenet_v1").embed([]).shape == (0, 1024)


def test_a_recompressed_picture_stays_near() -> None:
    first, second = pictures(2)
    vectors = open_embedder("mobilenet_v1").embed([first, first.resize((60, 40)), second])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]


def test_opening_is_quiet() -> None:
    code = "from neardup.models.embed import open_embedder; open_embedder('mobilenet_v1')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout + done.stderr == b""


@pytest.mark.parametrize("spec", ["", "mobilenet", "keras", "keras:"])
def test_an_unknown_embedder_is_named(spec: str) -> None:
    with pytest.raises(ArtifactError, match="There is no embedder"):
        open_embedder(spec)


def test_the_bundled_network_takes_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="brings its own weights"):
        open_embedder("mobilenet_v1", weights=tmp_path / "other.h5")


def test_a_damaged_network_is_refused(tmp_path: Path) -> None:
    data = bytearray(MOBILENET.read_bytes())
    data[1_000_000] ^= 1
    (tmp_path / "net.tflite").write_bytes(data)
    with pytest.raises(ArtifactError, match="SHA-256"):
        MobileNetEmbedder(path=tmp_path / "net.tflite")
    with pytest.raises(ArtifactError, match="Cannot read"):
        MobileNetEmbedder(path=tmp_path / "none.tflite")


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (np.ones(3), "embedding_length"),
        (np.ones(5), "embedding_length"),
        (np.array([1, np.nan, 0, 0]), "embedding_not_finite"),
        (np.array([1, 0, 0, -np.inf]), "embedding_not_finite"),
        (np.zeros(4), "embedding_zero"),
    ],
)
def test_a_bad_vector_is_refused(vector: np.ndarray, reason: str) -> None:
    with pytest.raises(BadEvent) as bad:
        check_embedding(vector.astype(np.float32), 4)
    assert bad.value.reason == reason


def test_a_good_vector_passes() -> None:
    check_embedding(np.array([0, 0, -1, 0], np.float32), 4)
