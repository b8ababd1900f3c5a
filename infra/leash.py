"""Runs a command that must not outlive whoever started it.

``python -m neardup.infra.leash SECONDS COMMAND...`` starts the command and reads its own standard
input, a pipe that the owner holds open. However the owner ends, SIGKILL included, the kernel closes
the pipe; the command then gets SIGTERM and, if it is still there SECONDS later, SIGKILL. A
parent-death signal would do so on Linux alone, and would fire when the *thread* that started the
child ends.

Exit code: that of the command.
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
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
