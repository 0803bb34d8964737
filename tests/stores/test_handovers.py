"""What was handed over is found by its delivery's id until it is retired, in each store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from carillon.messages.ports.handovers import Handover, Handovers
from carillon.stores.sqlite.handovers import RETIRED_AT_ONCE
from tests.stores.shelves import Shelf


@pytest.fixture
def handovers(shelf: Shelf) -> Iterator[Handovers]:
    with shelf.handovers(1000) as opened:
        yield opened


def handover(name: str, dispatch: str = "d") -> Handover:
    return Handover(name, dispatch, "push", "k2f", f"user/{name}", name)


async def test_it_is_found_again_and_the_first_one_stays(handovers: Handovers) -> None:
    await handovers.add(handover("a"))
    await handovers.add(handover("a", "another"))

    assert await handovers.find("a") == handover("a")
    assert await handovers.find("b") is None


@pytest.mark.slow
async def test_many_at_once_share_commits(handovers: Handovers) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(handovers.add, handover(str(number)))
    for number in range(0, 1000, 97):
        assert await handovers.find(str(number)) == handover(str(number))


async def test_what_is_old_is_retired_a_part_at_a_time(handovers: Handovers) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(RETIRED_AT_ONCE + 1):
            nursery.start_soon(handovers.add, handover(str(number)))

    assert not await handovers.retire(1000)
    assert await handovers.retire(1001)
    assert not await handovers.retire(1001)
    assert await handovers.find("0") is None
