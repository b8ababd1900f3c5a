"""Arrays kept on disk by a long computation, so that a kill costs minutes and not hours."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


def save_checkpoint(path: Path, identity: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write ``arrays`` and what they belong to; the file is the former one or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        np.savez(file, **arrays, identity=np.array(json.dumps(identity)))  # type: ignore[arg-type, unused-ignore]
    unfinished.replace(path)


def load_checkpoint(path: Path | None, identity: str) -> Arrays | None:
    """What was saved at ``path`` for ``identity``; None if nothing was, or something else."""
    if path is None or not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile):  # of another program, or of a full disk
        return None
    return arrays if arrays.pop("identity", None) == json.dumps(identity) else None
