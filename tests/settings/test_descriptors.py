"""Descriptors: the limit of the process is raised, and compared with what providers may need."""

from __future__ import annotations

import resource
import subprocess
import sys

from carillon.messages.model import JsonValue
from carillon.settings.descriptors import RESERVE, shortage
from tests.settings.examples import settings, sms, sms_provider


def test_more_calls_than_descriptors_are_told() -> None:
    chosen = settings(sms_provider(concurrency=1000))
    needed = sum(one.concurrency for one in chosen.providers.values()) + RESERVE
    assert shortage(chosen, needed) is None
    told = shortage(chosen, needed - 1)
    assert told is not None
    assert f"the {needed - 1} file descriptors" in told
    assert f"is {needed - RESERVE} in sum" in told


def test_calls_without_connections_need_none() -> None:
    section: JsonValue = {"type": "sandbox", "concurrency": 1000}
    carriers: JsonValue = {"sms": {"providers": ["x"]}}
    chosen = settings(sms(providers={"x": section}, channels=carriers))
    assert shortage(chosen, RESERVE) is None


def test_the_soft_limit_becomes_the_hard_one() -> None:
    script = (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (50, 300)); "
        "from carillon.settings.descriptors import most, raise_limit; raise_limit(); "
        "print(most(), *r.getrlimit(r.RLIMIT_NOFILE))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert printed.stdout.split() == [b"300"] * 3
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 50
