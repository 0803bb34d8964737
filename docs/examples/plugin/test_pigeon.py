"""Pigeon Post keeps the contract that Carillon has with its providers."""

from __future__ import annotations

import pytest
from pigeon_post import Pigeon

from carillon.messages.secret import Secret
from carillon.testing import CHECKS, Check, Subject, text

KEY = "key-of-pigeon-post"
SUBJECT = Subject(
    make=lambda url, wire: Pigeon(url, Secret(KEY), wire),
    deliveries=(text("sms"),),
    secrets=(KEY,),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(check: Check) -> None:
    await check(SUBJECT)
