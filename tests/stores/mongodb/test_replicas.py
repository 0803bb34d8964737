"""Replicas tell each other with their heartbeats what they have begun with, and for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from carillon.messages.model import Channel, Priority
from carillon.messages.ports.work_sharing import Served
from carillon.stores.mongodb.client import MongoStore, connected
from carillon.stores.mongodb.replicas import MongoReplicas
from carillon.stores.mongodb.url import MongoUrl

pytestmark = pytest.mark.servers
SMS: tuple[Channel, Priority, str] = "sms", "normal", "shop"
MAIL: tuple[Channel, Priority, str] = "email", "bulk", ""


class Told:
    """Remembers what it was charged."""

    def __init__(self) -> None:
        self.mine: dict[tuple[Channel, Priority, str], int] = {}
        self.charged: list[Mapping[tuple[Channel, Priority, str], int]] = []

    def weight(self, caller: str) -> int:
        return 1

    def served(self) -> Served:
        return dict(self.mine)

    def callers_waiting(self, provider: str) -> Mapping[Priority, Mapping[str, int]]:
        return {}

    def charge(self, elsewhere: Served) -> None:
        self.charged.append(dict(elsewhere))


@pytest.fixture
def store(mongodb: MongoUrl) -> Iterator[MongoStore]:
    with connected(mongodb) as client:
        yield MongoStore(client, mongodb.database)


async def test_each_is_charged_what_the_others_have_begun_with_since_it_asked_last(
    store: MongoStore,
) -> None:
    one, two, three = MongoReplicas(store), MongoReplicas(store), MongoReplicas(store)
    here, there, new = Told(), Told(), Told()
    there.mine = {SMS: 1000}
    await one.join()
    await two.join()
    await two.beat(there)
    await one.beat(here)  # whom it has not seen before says nothing of what was when
    assert here.charged == [{}]
    there.mine = {SMS: 1050, MAIL: 7}
    await two.beat(there)
    await one.beat(here)
    assert here.charged[1:] == [{SMS: 50, MAIL: 7}]
    here.mine = {SMS: 3}
    await one.beat(here)
    await two.beat(there)
    assert here.charged[2:] == [{}]
    assert there.charged[-1] == {SMS: 3}
    await three.join()
    await three.beat(new)
    assert new.charged == [{}]
    await two.leave()
    await one.beat(here)
    assert here.charged[-1] == {}
