"""Questions to the CRUD Service as URLs that fit: what one asks, and how much of it.

There is no search by POST, so everything stands in the URL; Node refuses a head over 16,384 bytes
and gateways often one over 8 kB (contracts 1.1). Hence at most 6 kB and 200 values a question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from carillon.messages.model import Document, JsonValue

PAGE: Final = 200
"""Documents a page: above it the CRUD Service answers 400, it does not truncate."""

URL_BYTES: Final = 6_000
KEYSET_BYTES: Final = 300  # kept free for `{"$and":[…,{"_id":{"$gt":"…"}}]}` of later pages

PROJECTION_BYTES: Final = 1_000

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The values one question asks for, each once, and those that no URL can carry.

    `length` counts the values of the list that it covers, repeats included.
    """

    askable: Sequence[str]
    unaskable: Sequence[str]
    length: int


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of the CRUD Service; `base_url` may have a path."""

    base_url: str
    name: str

    @property
    def url(self) -> str:
        """Its address. The route matches with the trailing slash only."""
        return f"{self.base_url.rstrip('/')}/{quote(self.name, safe='')}/"

    def document_url(self, document_id: str) -> str | None:
        """The address of one document; None when no URL can carry its id."""
        quoted = _quoted(document_id)
        return None if quoted is None or len(quoted) > URL_BYTES else self.url + quoted

    def list_url(
        self,
        query: Document | None = None,
        *,
        limit: int = PAGE,
        only: Sequence[str] = (),
    ) -> str:
        """The address of a page, in the order of `_id`; `only` these fields and `_id` are read."""
        parts = [f"_l={limit}", "_s=_id"]
        if query is not None:
            parts.insert(0, f"_q={quote(_json(query), safe='')}")
        if only:
            parts.append(f"_p={quote(','.join(only), safe='')}")
        return f"{self.url}?{'&'.join(parts)}"

    def chunk(
        self, field: str, values: Sequence[str], start: int, only: Sequence[str] = ()
    ) -> Chunk:
        """As many of the values from `start` on as one question for `field` may ask.

        The same values and start give the same chunk, so that a cursor can resume inside it.
        """
        room = URL_BYTES - KEYSET_BYTES - len(self.list_url(matching(field, ()), only=only))
        askable: dict[str, None] = {}
        unaskable: dict[str, None] = {}
        length = 0
        for value in values[start : start + PAGE]:
            cost = _cost(value)
            if cost is None or (cost > room and not askable):
                unaskable[value] = None
            elif value not in askable:
                if cost > room:
                    break
                askable[value] = None
                room -= cost
            length += 1
        return Chunk(tuple(askable), tuple(unaskable), length)


def matching(field: str, values: Sequence[str], after: str | None = None) -> Document:
    """The query for documents whose field is, or has, one of the values, `after` this `_id`."""
    listed: Document = {field: {"$in": list(values)}}
    return listed if after is None else {"$and": [listed, {"_id": {"$gt": after}}]}


def projection(fields: frozenset[str] | None) -> Sequence[str]:
    """What `_p` asks for; nothing, which reads whole documents, where it cannot say it.

    Unknown names are harmless: `_p`, unlike `_q`, takes any (crud-service,
    `lib/httpInterface.js`, `resolveClientProjectionString`).
    """
    names = sorted(fields or ())
    fits = sum(map(len, names)) <= PROJECTION_BYTES and all(map(_NAME.fullmatch, names))
    return names if fits else ()


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _quoted(text: str) -> str | None:
    """Percent-encoded UTF-8, or None for a lone surrogate, which no document can hold."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        return None


def _cost(value: str) -> int | None:
    """The bytes it takes in an encoded list, its comma included."""
    if len(value) > URL_BYTES:
        return None
    quoted = _quoted(_json(value))
    return None if quoted is None else len(quoted) + len("%2C")
