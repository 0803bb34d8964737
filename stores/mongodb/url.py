"""Where a MongoDB is, as a URL names it; read without pymongo, which takes long to load."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

DEFAULT_DATABASE: Final = "carillon"
_LONGEST: Final = 4096
_PARTS: Final = re.compile(
    r"(?P<scheme>mongodb|mongodb\+srv)://(?:[^/?#]+@)?(?P<hosts>[^/?#@]+)"
    r"(?:/(?P<database>[^/?#]*))?(?:\?(?P<options>[^#]*))?"
)
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_DATABASE: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_SHAPE: Final = '"mongodb://host:port/database" or "mongodb+srv://host/database"'


@dataclass(frozen=True, slots=True)
class MongoUrl:
    """`text` may hold a password: only the driver sees it. `shown` is for people."""

    text: str = field(repr=False)
    database: str
    shown: str

    def __str__(self) -> str:
        return self.shown


def mongodb_url(text: str) -> MongoUrl:
    """A URL's database, the default one where it names none, and what of it may be shown.

    Raises:
        ValueError: with what is allowed; never with the text.
    """
    parts = _PARTS.fullmatch(text)
    if parts is None or len(text) > _LONGEST or not text.isprintable() or " " in text:
        raise ValueError(f"{_SHAPE}; in a user name and password : / ? # [ ] @ % are escaped")
    hosts, is_looked_up = parts["hosts"], parts["scheme"] == "mongodb+srv"
    if not all(map(_HOST.fullmatch, hosts.split(","))):
        raise ValueError(f"{_SHAPE}, with hosts separated by commas")
    if is_looked_up and ("," in hosts or ":" in hosts):
        raise ValueError('one host without a port after "mongodb+srv://"')
    database = parts["database"] or DEFAULT_DATABASE
    if not _DATABASE.fullmatch(database):
        raise ValueError(f"{_SHAPE}, the database of at most 63 letters, digits, _ and -")
    return MongoUrl(text, database, f"{parts['scheme']}://{hosts}/{database}")
