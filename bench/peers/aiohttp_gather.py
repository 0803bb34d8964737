"""What many would write first: asyncio, aiohttp, one `gather`, and a semaphore as the limit."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import aiohttp

from bench.peers.job import Job, run_job
from bench.workload import message

# Compact like the others', so that all send the same bytes.
_dumps = partial(json.dumps, separators=(",", ":"))


async def _send_all(job: Job) -> None:
    slots = asyncio.Semaphore(job.concurrency)
    async with aiohttp.ClientSession(json_serialize=_dumps) as session:

        async def send(index: int) -> None:
            async with slots, session.post(f"{job.url}/send", json=message(index)) as response:
                response.raise_for_status()
                await response.read()

        await asyncio.gather(*(send(index) for index in range(job.users)))


if __name__ == "__main__":
    run_job(lambda job: asyncio.run(_send_all(job)))
