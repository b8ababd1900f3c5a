"""Runs a command that must not outlive whoever started it.

``python -m neardup.infra.leash SECONDS COMMAND...`` starts the command and reads its own standard
input, a pipe that the owner holds open. However the owner ends, SIGKILL included, the kernel closes
the pipe; the command then gets SIGTERM and, if it is still there SECONDS later, SIGKILL. A byte on
the pipe means SIGKILL at once. A parent-death signal would work on Linux alone, and would fire when
the *thread* that started the child ends.

The leash ends when the command has ended and been reaped, with its exit code.
"""

import os
import subprocess
import sys
import threading


def main(grace_seconds: float, command: list[str]) -> int:
    # The child must not inherit the pipe: it would keep its own leash from ever going slack.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_owner, args=(child, grace_seconds), daemon=True).start()
    return child.wait()


def _end_with_owner(child: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    if os.read(0, 1):
        child.kill()
        return
    child.terminate()
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
