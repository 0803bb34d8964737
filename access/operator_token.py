"""The operator token: it opens the operators' routes of a service that has no API keys.

Neither a loopback address nor `Host` proves that a caller is on this machine: a proxy on it makes
every caller look local. So a service draws a token when it starts and writes it to a file that only
its own user can read; that user's command line reads it there.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from carillon.stores.private_files import replace_private

_SECRET_BYTES: Final = 32
_LONGEST: Final = 200


class OperatorToken:
    """The token of one run of a service; it opens something from `publish` on."""

    def __init__(self) -> None:
        # Shaped as an API key is, with an id that no key may have.
        self.text: Final = f"loopback.{secrets.token_urlsafe(_SECRET_BYTES)}"
        self._file: Path | None = None

    @property
    def is_published(self) -> bool:
        """Whether anybody could know it."""
        return self._file is not None

    def is_shown(self, text: str) -> bool:
        """Whether a text is the token; no comparison ends early."""
        shown = text.encode("utf-8", "surrogatepass")
        return self.is_published and hmac.compare_digest(shown, self.text.encode())

    def publish(self, file: Path) -> None:
        """Write the token to a file, replacing what is there; creates its folder if necessary.

        Raises:
            OSError: The file cannot be written.
        """
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_private(file, f"{self.text}\n".encode())
        self._file = file

    def remove(self) -> None:
        """Remove the file, unless another service has written its own there since."""
        file, self._file = self._file, None
        with suppress(OSError):
            if file is not None and read_token(file) == self.text:
                file.unlink()


def read_token(file: Path) -> str | None:
    """The token in a file; None if there is no file.

    Raises:
        OSError: The file exists and cannot be read.
    """
    try:
        with open(file, "rb", opener=_without_waiting) as stream:
            content = stream.read(_LONGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    text = content.decode("ascii", "replace").strip()
    is_token = text.isascii() and text.isprintable() and " " not in text
    return text if text and is_token and len(content) <= _LONGEST else None


def _without_waiting(path: str, flags: int) -> int:
    """A pipe in the place of the file must not hold a command up."""
    return os.open(path, flags | os.O_NONBLOCK)
