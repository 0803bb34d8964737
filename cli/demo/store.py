"""The demo's store of samples, and settings with which no message leaves the machine."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from carillon.messages.model import CHANNELS, Document
from carillon.providers.config import name_of
from carillon.providers.smtp.provider import SmtpConfig
from carillon.settings import AccessSettings, Settings, TokenPlace, from_document, state_folder
from carillon.stores.imports.documents import json_lines
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.directory import import_documents

STORE: Final = "carillon.db"
SMTP: Final = name_of(SmtpConfig)
"""The provider of mails that leave the demo."""


def demo_settings(folder: Path, port: int, smtp: str | None = None) -> Settings:
    """All four channels, each with its own sandbox; of the environment only HOME counts.

    With the URL of an SMTP server mails go there.

    Raises:
        ConfigurationError: it is no such URL.
    """
    document: Document = {
        "activeChannels": [*CHANNELS],
        "sender": {
            "email": "Carillon <demo@example.com>",
            "sms": "Carillon",
            "voice": "+390212345",
        },
        "channels": {name: {"providers": [f"{name}-sandbox"]} for name in CHANNELS},
        "providers": {f"{name}-sandbox": {"type": "sandbox"} for name in CHANNELS},
        "drain": "2s",
    }
    if smtp is not None:
        document |= _mail_over(smtp)
    store = (folder / STORE).absolute()
    settings = from_document(document, {"STORE_URL": f"sqlite:///{store}", "HTTP_PORT": str(port)})
    # Beside a store in a temporary folder no other command would find the token.
    place = TokenPlace(state_folder=state_folder())
    return replace(settings, access=AccessSettings(token_place=place))


def _mail_over(url: str) -> Document:
    names = {name: f"{name}-sandbox" for name in CHANNELS} | {"email": SMTP}
    return {
        "channels": {name: {"providers": [provider]} for name, provider in names.items()},
        "providers": {
            name: {"url": url} if name == SMTP else {"type": "sandbox"} for name in names.values()
        },
    }


def fill_store(path: Path) -> None:
    """Put the samples into the store, in place of those of an earlier demo."""
    with closing(open_store(path)) as connection:
        for _ in import_documents(connection, "user", sample("users")):
            pass
        for _ in import_documents(connection, "template", sample("templates")):
            pass


def sample(name: str) -> Iterator[Document]:
    """The sample users or templates."""
    content = files("carillon.cli.demo").joinpath(f"sample_{name}.jsonl").read_bytes()
    return (document for _, document in json_lines(io.BytesIO(content)))
