"""Where an SMTP server is, how it is spoken to, and who speaks: all that its URL says."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import PlainValidator, WithJsonSchema

from carillon.http_client.urls import CHARACTERS, HOST, is_address
from carillon.messages.secret import Secret

Security = Literal["starttls", "tls", "none"]
"""STARTTLS before anything is said, TLS from the first byte, or neither."""
_SCHEMES: Final = MappingProxyType[str, tuple[Security, int]](
    {"smtp": ("starttls", 587), "smtps": ("tls", 465), "smtp+plain": ("none", 25)}
)
_LONGEST: Final = 2048
_URL: Final = (
    'a URL such as "smtp://host:587" (STARTTLS), "smtps://host:465" (TLS from the first byte) or '
    '"smtp+plain://host:25" (no TLS), an account in it percent-encoded'
)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A server, and the account that its URL names, if it does. Its text shows no account."""

    host: str = ""
    port: int = 0
    security: Security = "starttls"
    user: str = field(default="", repr=False)
    password: Secret | None = field(default=None, repr=False)

    @property
    def holds_secret(self) -> bool:
        """See `HoldsSecret`."""
        return self.password is not None

    def __str__(self) -> str:
        scheme = next(name for name, (one, _) in _SCHEMES.items() if one == self.security)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def smtp_server(text: object) -> SmtpServer:
    """What a URL says. Raises ValueError with what is allowed, never with the text."""
    if isinstance(text, SmtpServer):
        return text
    if not isinstance(text, str) or len(text) > _LONGEST or not CHARACTERS.fullmatch(text):
        raise ValueError(_URL)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_URL) from None
    host = parts.hostname or ""
    _check(parts, host, port)
    security, usual = _SCHEMES[parts.scheme]
    user = account_text(unquote(parts.username or ""))
    password = account_text(unquote(parts.password or ""))
    if password and not user:
        raise ValueError(f"{_URL}; a password needs a user")
    return SmtpServer(host, port or usual, security, user, Secret(password) if password else None)


def _check(parts: SplitResult, host: str, port: int | None) -> None:
    if parts.scheme not in _SCHEMES:
        raise ValueError(_URL)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"{_URL}; nothing stands behind the port")
    known = is_address(host) if "[" in parts.netloc else HOST.fullmatch(host) is not None
    if not known or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"{_URL}; with a valid host and port")


def account_text(text: str) -> str:
    """A user or a password. Raises ValueError with what is allowed."""
    if not (text.isprintable() and "\ufffd" not in text):
        raise ValueError(f"{_URL}; without control characters")
    return text


def account_secret(text: object) -> Secret:
    """A password that nobody may see. Raises ValueError with what is allowed."""
    if not (isinstance(text, str) and text and text.isprintable()):
        raise ValueError("printable characters")
    return Secret(text)


SmtpUrl: TypeAlias = Annotated[
    SmtpServer,
    PlainValidator(smtp_server),
    WithJsonSchema({"type": "string", "format": "uri", "pattern": r"^(smtp|smtps|smtp\+plain)://"}),
]
AccountSecret: TypeAlias = Annotated[
    Secret,
    PlainValidator(account_secret),
    WithJsonSchema({"type": "string", "minLength": 1, "writeOnly": True}),
]
