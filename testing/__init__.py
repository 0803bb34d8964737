"""The contract of providers, for those who write one: checks that a test of theirs runs.

    SUBJECT = Subject(make=lambda url, wire: Pigeon(url, wire), deliveries=(text("sms"),))

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_it_keeps_the_contract(check: Check) -> None:
        await check(SUBJECT)

A check is an async function for trio that raises AssertionError with what is wrong. No test runner
is needed: `trio.run(check, SUBJECT)` does as well. Everything public is exported here.
"""

from carillon.testing.contract import CHECKS, Check, Subject
from carillon.testing.deliveries import mail, push, text
from carillon.testing.stand_in import Answer, Received, StandIn, serving

__all__ = [
    "CHECKS",
    "Answer",
    "Check",
    "Received",
    "StandIn",
    "Subject",
    "mail",
    "push",
    "serving",
    "text",
]
