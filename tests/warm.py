"""Programs of ours that begin with their imports done.

To import the service takes longer than most of what is tried on it. One process imports it once,
and each program is a fork of that: the same code in a process with an environment, an output, a
session and an end of its own. What a start is like from nothing is for `carillon serve` to show.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess


def start(
    command: Sequence[str],
    output: int,
    environ: Mapping[str, str],
    *,
    errors: bool = False,
) -> ForkServerProcess:
    """Run `carillon ARGUMENTS` or `python -m MODULE ARGUMENTS`.

    `output` is the descriptor of its stdout and, with `errors`, of its stderr; the caller keeps it.
    """
    words = list(command[2:] if command[1] == "-m" else ["carillon", *command[1:]])
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["tests.preloaded"])
    its_own = Connection(os.dup(output), readable=False)
    try:
        streams = (1, 2) if errors else (1,)
        process = forks.Process(target=_run, args=(words, its_own, streams, dict(environ)))
        process.start()
    finally:
        its_own.close()
    return process


def _run(
    words: Sequence[str], output: Connection, streams: Sequence[int], environ: Mapping[str, str]
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environ)
    for stream in streams:
        os.dup2(output.fileno(), stream)
    output.close()
    # Those of the process that was forked remember what their descriptors were before.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
