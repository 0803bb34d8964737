"""The mock cluster in a process of its own, which a test may freeze and kill.

python -m tests.neighbours.kafka_process COMMANDS EVENTS   # prints the brokers, then waits
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.neighbours.kafka import Cluster, cluster

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Killable(Cluster):
    """A cluster that dies with its process, and forgets everything then."""

    process: subprocess.Popen[str]

    def freeze(self) -> None:
        """Let it keep its ports and say nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it: its ports refuse connections."""
        self.process.kill()
        self.process.wait()


@contextmanager
def cluster_process(*topics: str) -> Iterator[Killable]:
    """A cluster with these topics, as long as the body runs or until it is killed."""
    command = [sys.executable, "-m", "tests.neighbours.kafka_process", *topics]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Killable(process.stdout.readline().strip(), process)
        finally:
            process.kill()


def main() -> None:
    """Own a cluster until somebody ends this."""
    with cluster() as made:
        for topic in sys.argv[1:]:
            made.create(topic)
        sys.stdout.write(f"{made.bootstrap}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
