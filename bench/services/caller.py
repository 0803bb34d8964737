"""The load of small requests and of commands: callers on keep-alive connections, in a program."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count, repeat

import trio

from bench.by_hand import Connection, is_last, request_head
from bench.load import SAGA, SEND, Load, load_of
from bench.workload import command, dispatch, user_id


def _bodies(path: str, caller: int) -> Iterator[dict[str, object]]:
    # Each asks for a user of its own: the SMS service takes one message to a number at a time.
    user = user_id(caller)
    if path == SEND:
        return repeat(dispatch(recipients=[user]))
    return (command(f"{caller}-{number}-{time.time_ns()}", user) for number in count())


async def _call(url: str, path: str, caller: int, until: float, latencies: list[float]) -> None:
    head = request_head(url, path)
    expected = b'{"failures":[]}' if path == SEND else b""
    connection = Connection(url)
    await connection.open()
    for body in map(json.dumps, _bodies(path, caller)):
        if (started := time.perf_counter()) >= until:
            break
        answer = await connection.exchange(b"%b%d\r\n\r\n%b" % (head, len(body), body.encode()))
        latencies.append(time.perf_counter() - started)
        if expected not in answer:
            raise OSError(answer.decode("latin-1"))
        if is_last(answer):  # hypercorn serves a thousand requests a connection
            connection.close()
            connection = Connection(url)
            await connection.open()
    connection.close()


async def _run(url: str, callers: int, seconds: float, path: str) -> Load:
    latencies: list[float] = []
    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for caller in range(callers):
            nursery.start_soon(_call, url, path, caller, started + seconds, latencies)
    return load_of(latencies, time.perf_counter() - started)


def main() -> None:
    """Call for so many seconds and print what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("callers", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("path", choices=(SEND, SAGA))
    print(json.dumps(asdict(trio.run(_run, *vars(parser.parse_args()).values()))))


if __name__ == "__main__":
    main()
