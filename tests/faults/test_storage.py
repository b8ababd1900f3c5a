"""Disks that are full, slow or may not be written, and files that are gone: nothing is lost.

The disks are real: small file systems in memory or in a file, which only root may mount.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from neardup.infra.kafka import free_port
from neardup.schemas.lake import Lake
from neardup.schemas.tables import TABLES
from tests.faults.report import compare
from tests.faults.system import System, contents

SIZE = 48 * 2**20
SLOW_SIZE = 512 * 2**20

Mount = Callable[[Path], Path]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts a file system of SIZE bytes on a folder."""
    mounted: list[Path] = []

    def mounts(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid():
            pytest.skip("only root may mount a file system")
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mounts
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """A file that leaves ``left`` bytes of the disk, about."""
    ballast = folder / "ballast"
    size = shutil.disk_usage(folder).free - left
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return ballast


def refused(system: System, *words: str) -> None:
    """The stream ends by itself, with these words in one sentence and no traceback."""
    assert system.drain() == 1, system.words()
    said = system.words().rsplit("neardup: ", 1)[-1]
    assert all(word in said for word in words), system.words()
    assert "Traceback" not in said and "py4j" not in said, said


def harm(system: System, mount: Mount, left: int, place: str = "pins.after:3") -> None:
    """Batches are done on a disk of its own; then it fills, the stream stops, and space is made."""
    mount(system.path)
    system.drain(crash=place)
    ballast = fill(system.path, left)
    refused(system, "There is no room", str(system.path), "are free there", "Nothing is lost")
    ballast.unlink()
    assert system.drain() == 0, system.words()


@pytest.mark.path
def test_a_full_disk_stops_the_stream_and_loses_nothing(
    calm: System, rough: System, mount: Mount
) -> None:
    harm(rough, mount, 200_000)
    compare("full disk", ["200 kB left"], calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("left", [0, 50_000, 400_000])
def test_a_disk_that_fills_elsewhere(calm: System, rough: System, mount: Mount, left: int) -> None:
    harm(rough, mount, left)
    compare("full disk", [f"{left} bytes left"], calm, rough)


@pytest.mark.faults
def test_a_disk_that_becomes_read_only(calm: System, rough: System, mount: Mount) -> None:
    mount(rough.path)
    rough.drain(crash="pins.after:3")
    subprocess.run(["mount", "-o", "remount,ro", str(rough.path)], check=True)
    refused(rough, "may not be written", str(rough.path))
    subprocess.run(["mount", "-o", "remount,rw", str(rough.path)], check=True)
    assert rough.drain() == 0, rough.words()
    compare("read-only disk", ["remounted"], calm, rough)


@pytest.fixture
def slow(rough: System) -> Iterator[Event]:
    """The lake is on a disk that takes no write for seconds, again and again, until this is set."""
    image, calm_again = rough.folder / "disk", Event()
    with image.open("wb") as file:
        file.truncate(SLOW_SIZE)
    rough.path.mkdir()
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        subprocess.run(["mount", "-o", "loop,noatime", image, rough.path], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk that can be frozen: {error}")
    freezing = Thread(target=freeze, args=[rough.path, calm_again])
    freezing.start()
    yield calm_again
    calm_again.set()
    freezing.join()
    subprocess.run(["umount", rough.path], check=True)


def freeze(folder: Path, calm_again: Event) -> None:
    while not calm_again.wait(0.2):
        subprocess.run(["fsfreeze", "--freeze", folder], check=True)
        calm_again.wait(3)
        subprocess.run(["fsfreeze", "--unfreeze", folder], check=True)


@pytest.mark.faults
def test_a_slow_disk_slows_the_stream_and_health_says_so(
    calm: System, rough: System, slow: Event
) -> None:
    port = free_port()
    rough.stream = f"metrics_port = {port}\nmax_batch_seconds = 1.0"
    rough.write_settings()
    stream = rough.start("stream")
    try:
        rough.wait_for("complaint", lambda: "the last batch took" in health(port))
        rough.wait_for("all events", lambda: rough.decided() == calm.decided())
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            metrics = answer.read().decode()
    finally:
        slow.set()
        stopped = rough.stop(stream)
    assert stopped == 0, rough.words()
    commits = re.search(r'neardup_stage_seconds_sum{stage="commit"} (\S+)', metrics)
    assert commits and float(commits[1]) > 3, metrics
    compare("slow disk", "no write for 3 of 3.2 s", calm, rough)


def health(port: int) -> str:
    """What /healthz says; nothing while it is not there yet."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        return error.read().decode()
    except URLError:
        return ""


@pytest.mark.faults
def test_no_room_for_temporary_files(calm: System, rough: System, mount: Mount) -> None:
    """Signatures, the fold and decoded segments are mapped: a process that writes where no disk is
    would be ended by a signal."""
    mount(rough.folder / "tmp")
    rough.drain(crash="pins.after:3")
    ballast = fill(rough.folder / "tmp", 100_000)
    refused(rough, "free")
    ballast.unlink()
    assert rough.drain() == 0, rough.words()
    compare("full TMPDIR", ["100 kB left"], calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["pins", "clusters", "segments", "generations"])
def test_a_lost_file_is_named_and_repaired(calm: System, rough: System, name: str) -> None:
    assert rough.drain() == 0, rough.words()
    harmed = Path(Lake(rough.path).table(name).file_uris()[0])
    backup = shutil.copyfile(harmed, rough.folder / "backup")
    harmed.unlink()
    if name == "segments":  # the stream builds it again by itself
        assert rough.drain() == 0, rough.words()
        assert rough.run("repair") == 0, rough.words()
    else:
        refused(rough, f"The table {name}", harmed.name, "neardup repair")
    if name == "pins":
        assert rough.run("repair") == 1 and "put these files back" in rough.words()
        shutil.copyfile(backup, harmed)
    assert rough.run("repair") == 0, rough.words()
    assert rough.drain() == 0, rough.words()
    remade = set(TABLES)
    if name == "segments":  # those that a merge replaced are not made again
        remade.discard(name)
        assert set(contents(rough.lake)[name]) <= set(contents(calm.lake)[name])
    compare(f"lost file of {name}", ["neardup repair"], calm, rough, remade)


@pytest.mark.faults
def test_a_log_that_lost_its_end_is_not_gone_on_with(calm: System, rough: System) -> None:
    """As if `pins` came from a backup: what readers saw of later batches would be given again."""
    assert rough.drain() == 0, rough.words()
    for commit in sorted((rough.path / "pins" / "_delta_log").glob("*.json"))[-4:]:
        commit.unlink()
    refused(rough, "has lost its end", "`clusters` knows batch", "`segments`", "neardup repair")
    assert rough.run("repair") == 0, rough.words()
    assert rough.drain() == 0, rough.words()
    assert rough.run("verify") == 0, "segments too: which of them are merged is another story"
    compare("lost end of pins", "neardup repair", calm, rough, set(TABLES) - {"segments"})
