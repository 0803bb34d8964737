"""How much of a long list a caller asks for at once."""

from __future__ import annotations

from typing import Final

from quart import request

from carillon.messages.errors import BadCommand

DEFAULT_LIMIT: Final = 100
MOST: Final = 1000


def asked_prefix() -> str:
    """What the ids of what is listed begin with, as the current request says; "" is any."""
    return request.args.get("idPrefix", "")


def asked_limit() -> int:
    """The `limit` of the current request. Raises BadCommand."""
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0  # noqa: PLR2004
    if not 1 <= limit <= MOST:
        raise BadCommand(f"limit must be a whole number from 1 to {MOST}")
    return limit
