"""A network of keras.applications with weights from a local file. In a process of its own: Keras
and TensorFlow stay out of the other tests, and so do their warnings."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
import numpy as np
from pathlib import Path
from PIL import Image
from tensorflow import keras
from neardup.models.embed import open_embedder
from neardup.schemas.errors import ArtifactError

weights = Path(sys.argv[1]) / "net.weights.h5"
keras.utils.set_random_seed(1)
net = keras.applications.MobileNetV2(
    include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
net.save_weights(weights)
embedder = open_embedder("keras:MobileNetV2", weights=weights)
assert (embedder.name, embedder.dim) == ("keras:MobileNetV2", 1280)
rng = np.random.default_rng(2)
images = [Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)) for _ in range(3)]
together = embedder.embed(images)
assert together.shape == (3, 1280) and together.dtype == np.float32 and together.any()
for row, image in enumerate(images):
    assert (embedder.embed([image])[0] == together[row]).all()
for spec, path in (("keras:NoSuchNet", None), ("keras:MobileNetV2", Path("/no/such/file.h5"))):
    try:
        open_embedder(spec, weights=path)
    except ArtifactError as error:
        print(type(error).__name__)
"""


def test_keras_application_with_local_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ArtifactError", "ArtifactError"]
