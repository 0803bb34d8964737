"""The frame around a peer: reads its arguments, measures itself, prints what it cost as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.machine import Meter


@dataclass(frozen=True, slots=True)
class Job:
    """Send one message each to so many users, so many at once."""

    url: str
    users: int
    concurrency: int


def run_job(work: Callable[[Job], None]) -> None:
    """Do the job of the command line; everything that it needs is imported before."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("users", type=int)
    parser.add_argument("concurrency", type=int)
    job = Job(**vars(parser.parse_args()))
    meter = Meter()
    work(job)
    print(json.dumps(asdict(meter.stop())))
