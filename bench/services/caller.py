"""The load of the small requests: callers on keep-alive connections, a program of its own."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict

import trio

from bench.by_hand import Connection, is_last, request_head
from bench.load import Load, load_of
from bench.workload import dispatch, user_id


async def _call(url: str, caller: int, until: float, latencies: list[float]) -> None:
    # Each asks for a user of its own: the SMS service takes one message to a number at a time.
    body = json.dumps(dispatch(recipients=[user_id(caller)])).encode()
    request = b"%b%d\r\n\r\n%b" % (request_head(url, "/send"), len(body), body)
    connection = Connection(url)
    await connection.open()
    while (started := time.perf_counter()) < until:
        answer = await connection.exchange(request)
        latencies.append(time.perf_counter() - started)
        if b'{"failures":[]}' not in answer:
            raise OSError(answer.decode("latin-1"))
        if is_last(answer):  # hypercorn serves a thousand requests a connection
            connection.close()
            connection = Connection(url)
            await connection.open()
    connection.close()


async def _run(url: str, callers: int, seconds: float) -> Load:
    latencies: list[float] = []
    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for caller in range(callers):
            nursery.start_soon(_call, url, caller, started + seconds, latencies)
    return load_of(latencies, time.perf_counter() - started)


def main() -> None:
    """Call for so many seconds and print what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("callers", type=int)
    parser.add_argument("seconds", type=float)
    print(json.dumps(asdict(trio.run(_run, *vars(parser.parse_args()).values()))))


if __name__ == "__main__":
    main()
