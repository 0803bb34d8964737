"""The board of each provider for a store that moves: the calls that count, and the pause."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from carillon.actors.capacity.ledger import Past, Pause, ledger_text, parse_ledger
from carillon.actors.capacity.past_calls import condensed
from carillon.messages.errors import JournalUnavailable
from carillon.stores.errors import StoreError
from carillon.stores.sqlite.calls import called_providers, past_calls
from carillon.stores.sqlite.pauses import pauses_left

if TYPE_CHECKING:
    from carillon.stores.mongodb.move import Boards

_PAUSE: Final = "moved"
"""The id of a pause that came with a store."""


def boards_of(connection: sqlite3.Connection, now: int) -> Boards:
    """The contents of the boards; `now` is in milliseconds since 1970."""
    pauses = pauses_left(connection, now)
    providers = dict.fromkeys([*called_providers(connection), *pauses])
    return {
        provider: partial(
            _written,
            condensed(past_calls(connection, provider, 0, now), now),
            _pause(pauses, provider, now),
        )
        for provider in providers
    }


def _pause(pauses: Mapping[str, float], provider: str, now: int) -> Pause | None:
    return Pause(_PAUSE, pauses[provider], now / 1000) if provider in pauses else None


def _written(past: tuple[Past, ...], pause: Pause | None, text: str) -> str:
    """Keep what an earlier service left in the MongoDB."""
    try:
        sheet = parse_ledger(text)
    except JournalUnavailable as error:
        raise StoreError(f"{error}; name another database") from None
    return ledger_text(replace(sheet, past=past, pause=pause or sheet.pause))
