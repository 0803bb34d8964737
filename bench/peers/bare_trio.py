"""The limit: a bare trio loop that writes the same requests by hand, and does nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from bench.by_hand import Connection, request_head
from bench.peers.job import Job, run_job
from bench.workload import message_bytes


async def _send_all(job: Job) -> None:
    left = iter(range(job.users))
    async with trio.open_nursery() as nursery:
        for _ in range(job.concurrency):
            nursery.start_soon(_send_next, job.url, left)


async def _send_next(url: str, left: Iterator[int]) -> None:
    head = request_head(url, "/send")
    connection = Connection(url)
    await connection.open()
    for index in left:
        body = message_bytes(index)
        await connection.exchange(b"%b%d\r\n\r\n%b" % (head, len(body), body))
    connection.close()


if __name__ == "__main__":
    run_job(lambda job: trio.run(_send_all, job))
