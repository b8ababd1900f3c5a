"""A command on the leash: its exit code comes through, and it ends when its owner is gone."""

import signal
import subprocess
import sys

import psutil

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(600)
"""


def leashed(grace_seconds: float, *command: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "neardup.infra.leash", str(grace_seconds), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_the_exit_code_comes_through() -> None:
    with leashed(5, sys.executable, "-c", "raise SystemExit(7)") as leash:
        assert leash.wait(30) == 7


def test_a_closed_pipe_ends_the_command() -> None:
    with leashed(30, "sleep", "600") as leash:
        assert leash.stdin is not None
        leash.stdin.close()
        assert leash.wait(20) == -signal.SIGTERM % 256


def test_a_command_deaf_to_sigterm_is_killed() -> None:
    with leashed(0.2, sys.executable, "-c", STUBBORN) as leash:
        assert leash.stdin is not None and leash.stdout is not None
        command = int(leash.stdout.readline())
        leash.stdin.close()
        leash.wait(20)
    assert not psutil.pid_exists(command)
