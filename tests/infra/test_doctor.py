"""What the doctor calls ill, and that only what is needed fails it."""

import socket
import tempfile
from pathlib import Path

import pytest

from neardup.infra import doctor
from neardup.infra.doctor import Check, healthy, misfitting
from neardup.infra.jars import Jar, JarSet, locked
from neardup.infra.kafka import free_port

FITTING = {"pyspark": "4.2.0", "delta-spark": "4.4.0", "kafka-python": "3.0.12", "pandas": "2.3.3"}


def test_what_is_installed_fits() -> None:
    check = doctor.versions_fit(doctor.installed_versions())
    assert check.ok, check.found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pyspark": "4.1.1"}, "delta-spark_4.1_2.13 4.4.0"),
        ({"pyspark": "4.2.1"}, "spark-sql-kafka-0-10_2.13 4.2.1"),
        ({"delta-spark": "4.4.1"}, "delta-spark_4.2_2.13 4.4.1"),
        ({"kafka-python": "2.2.15"}, "kafka-python is 2.2.15, not 3.x"),
        ({"pandas": "3.0.1"}, "pandas is 3.0.1"),
        ({"pandas": ""}, "pandas is missing"),
    ],
)
def test_what_does_not_fit_is_said(change: dict[str, str], said: str) -> None:
    coordinates = locked("spark").coordinates
    assert misfitting(FITTING, coordinates) == []
    assert any(said in sentence for sentence in misfitting(FITTING | change, coordinates))


def test_python() -> None:
    assert doctor.python_version().ok
    assert not doctor.python_version((3, 10, 4)).ok


def test_missing_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARDUP_JARS", str(tmp_path))
    check = doctor.jars_present(JarSet("example", (), False, (Jar("a.jar", 3, ""),)))
    assert not check.ok
    assert "a.jar is missing" in check.found


def test_a_lake_that_is_to_be_made(tmp_path: Path) -> None:
    check = doctor.disk(tmp_path / "not" / "yet")
    assert check.found.endswith(f"GiB free at {tmp_path}")


def test_a_lake_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = doctor.disk(tmp_path / "file" / "lake")
    assert not check.ok
    assert check.required


def test_no_broker_is_a_warning() -> None:
    (check,) = doctor.broker(f"127.0.0.1:{free_port()}", "pins")
    assert not check.ok
    assert "start one" in check.mend
    assert healthy([check])


def test_little_memory_is_a_warning() -> None:
    check = doctor.memory(doctor.GIB)
    assert not check.ok
    assert healthy([check])


def test_little_room_for_temporary_files_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.temporary().found.endswith(tempfile.gettempdir())
    monkeypatch.setattr(doctor, "MINIMUM_FREE_DISK", 2**60)
    check = doctor.temporary()
    assert not check.ok and healthy([check])


def test_a_needed_check_fails_the_doctor() -> None:
    good = Check("a", True, "")
    assert healthy([good])
    assert not healthy([good, Check("b", False, "")])


def test_further_checks_are_asked(tmp_path: Path) -> None:
    extra = Check("models", False, "damaged")
    checks = doctor.examine(tmp_path, f"127.0.0.1:{free_port()}", "pins", [lambda: extra])
    assert extra in checks


def test_a_free_port_and_one_that_something_else_holds() -> None:
    port = free_port()
    (free,) = doctor.ports(f"127.0.0.1:{port}, kafka.example:9092")
    assert free.ok and f"{port} is free" in free.found
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        (held,) = doctor.ports(f"127.0.0.1:{port}")
    assert not held.ok and "not Kafka" in held.found and "choose another port" in held.mend
