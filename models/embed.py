"""Pictures in, embeddings out: the bundled MobileNet, or a network of keras.applications."""

import hashlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from neardup.schemas.errors import ArtifactError, BadEvent

Embeddings = npt.NDArray[np.float32]

DATA = Path(__file__).parent / "data"
MOBILENET = DATA / "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"
MOBILENET_SHA256 = "f409ef4f73fcbb9667841965623c5c8524aac33d41b9bf5f3667161fb4a76319"

# What the networks were trained on; all others take 224.
KERAS_SIDES = {"InceptionV3": 299, "InceptionResNetV2": 299, "Xception": 299, "NASNetLarge": 331}
# One shape for every call: another shape may change the last bit, and with it a signature.
KERAS_BATCH = 8


class Embedder(Protocol):
    """A network that turns pictures into vectors. Its ``name`` is part of a hasher's identity."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed(self, images: Sequence[Image.Image]) -> Embeddings:
        """Vectors float32 [n, dim] of RGB pictures; each is the same in any company."""
        ...


def open_embedder(spec: str, *, weights: Path | None = None, threads: int = 1) -> Embedder:
    """The embedder that ``spec`` names: "mobilenet_v1" or "keras:" with a Keras application.

    ``weights``: a local weights file (without the top) for "keras:"; None lets Keras fetch its
    own. ``threads`` serves "mobilenet_v1". Raises ArtifactError for an unknown spec, a damaged
    file, or weights that cannot be loaded.
    """
    kind, _, application = spec.partition(":")
    if kind == "keras" and application:
        return KerasEmbedder(application, weights)
    if spec != "mobilenet_v1":
        raise ArtifactError(
            f"There is no embedder {spec!r}: use 'mobilenet_v1' or 'keras:' and the name of a "
            "Keras application, such as 'keras:VGG16'."
        )
    if weights is not None:
        raise ArtifactError(
            f"'mobilenet_v1' brings its own weights: remove the weights file {weights}, "
            "or choose a 'keras:' embedder."
        )
    return MobileNetEmbedder(threads)


def check_embedding(vector: Embeddings, dim: int) -> None:
    """Refuse a vector that an event brought. Raises BadEvent.

    Reasons: embedding_length (not ``dim`` values), embedding_not_finite, embedding_zero.
    """
    if vector.shape != (dim,):
        raise BadEvent("embedding_length", f"{vector.size} values; the hasher takes {dim}")
    if not np.isfinite(vector).all():
        wrong = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise BadEvent("embedding_not_finite", f"value {wrong} is {vector[wrong]}")
    if not vector.any():
        raise BadEvent("embedding_zero", f"all {dim} values are 0")


class MobileNetEmbedder:
    """MobileNet v1 (224, width 1.0, 8-bit) up to its average pooling, by LiteRT.

    Measured: 10.6 ms a picture on one core with XNNPACK, 15.8 ms without.
    """

    name = "mobilenet_v1"
    dim = 1024

    def __init__(self, threads: int = 1, path: Path = MOBILENET) -> None:
        from ai_edge_litert.interpreter import Interpreter

        network = read_checked(path, MOBILENET_SHA256)
        with native_messages_hidden():
            self._network: Any = Interpreter(model_content=network, num_threads=threads)
            self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        output = self._network.get_output_details()[0]
        self._output = output["index"]
        self._scale = np.float32(output["quantization"][0])
        self._lock = threading.Lock()

    def embed(self, images: Sequence[Image.Image]) -> Embeddings:
        vectors = np.empty((len(images), self.dim), np.float32)
        for row, image in enumerate(images):
            vectors[row] = self.vector(squash(image, 224))
        return vectors

    def vector(self, pixels: npt.NDArray[np.uint8]) -> Embeddings:
        """The vector float32 [dim] of pixels uint8 [224, 224, 3]."""
        with self._lock:
            self._network.set_tensor(self._input, pixels[None])
            self._network.invoke()
            quantised = self._network.get_tensor(self._output).ravel()
        vector: Embeddings = quantised.astype(np.float32) * self._scale
        return vector


class KerasEmbedder:
    """A Keras application without its top, average pooled, with its own preprocessing."""

    def __init__(self, application: str, weights: Path | None = None) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from tensorflow import keras

        builder = getattr(keras.applications, application, None)
        if not callable(builder):
            raise ArtifactError(
                f"Keras {keras.__version__} has no application {application!r}: "
                "see keras.io/api/applications for the names."
            )
        self.name = f"keras:{application}"
        self._side = KERAS_SIDES.get(application, 224)
        self._prepare: Any = sys.modules[builder.__module__].preprocess_input
        self._network: Any = _keras_network(builder, weights, self._side)
        self.dim = int(self._network.output_shape[-1])

    def embed(self, images: Sequence[Image.Image]) -> Embeddings:
        vectors = np.empty((len(images), self.dim), np.float32)
        for start in range(0, len(images), KERAS_BATCH):
            some = images[start : start + KERAS_BATCH]
            pixels = np.zeros((KERAS_BATCH, self._side, self._side, 3), np.float32)
            pixels[: len(some)] = [squash(image, self._side) for image in some]
            out = self._network(self._prepare(pixels), training=False)
            vectors[start : start + len(some)] = np.asarray(out)[: len(some)]
        return vectors


def squash(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """The whole picture in a square, whatever its shape: uint8 [side, side, 3]."""
    square = image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(square)


def read_checked(path: Path, sha256: str) -> bytes:
    """The bytes of a model file. Raises ArtifactError if it is missing or not the one meant."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"Cannot read the model file {path} ({error}): install neardup again."
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ArtifactError(
            f"{path} is damaged: its SHA-256 is {found}, not {sha256}. Restore the file."
        )
    return data


def _keras_network(builder: Any, weights: Path | None, side: int) -> Any:
    try:
        return builder(
            include_top=False,
            weights="imagenet" if weights is None else str(weights),
            input_shape=(side, side, 3),
            pooling="avg",
        )
    except Exception as error:  # Keras raises anything here, from URLError to a shape mismatch
        source = "Keras's own download" if weights is None else str(weights)
        raise ArtifactError(
            f"Cannot load weights of {builder.__name__} from {source} ({error}): "
            "set models.embedder_weights to a weights file without the top."
        ) from error


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """LiteRT's C++ reports its delegate on descriptor 2, whatever the log level is."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
