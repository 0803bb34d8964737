"""An SMTP server as a provider: mails made here, over connections that are used again.

Contract: submission by SMTP (contracts 2.5). A call starts, and counts for rates, with the first
byte of its message. Up to then a server has promised nothing, and what it refuses, or a connection
that breaks, leaves nothing behind; from its last line on a lost answer is an unknown outcome.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal, Self

import httpx
import trio
from pydantic import Field, model_validator

from carillon.http_client.errors import unsent_reply
from carillon.http_client.ports import Started
from carillon.messages.model import Attempt, Cause, Delivery, EmailContent, Refused, Unavailable
from carillon.messages.offload import Offload
from carillon.providers.config import (
    BuildContext,
    Credentials,
    Facts,
    ProviderConfig,
    ReadFile,
    Target,
    Variable,
    needed,
    of_type,
)
from carillon.providers.mail.headers import NotMailable
from carillon.providers.mail.message import Mail, mail_of
from carillon.providers.mail.options import MailOptions, unsubscribe_url
from carillon.providers.ports import Provider
from carillon.providers.responses import unreached, unsent
from carillon.providers.smtp.replies import SERVICE, told
from carillon.providers.smtp.server import AccountSecret, SmtpServer, SmtpUrl, smtp_server
from carillon.providers.smtp.session import Account, Broken, Failed, Session
from carillon.providers.smtp.stream import Connect, Stream, connected_socket
from carillon.providers.values import FilePath, Text

IDLE_SECONDS: Final = 30.0
"""A connection that has carried nothing for so long is closed."""
_LARGEST_TOKEN: Final = 16_384
_LARGEST_CA: Final = 1 << 20
_LONG: Final = 32_768
"""Characters of HTML from which a mail is made in a thread: it takes a few milliseconds."""


class SmtpCredentials(Credentials):
    """An account of an SMTP server; the URL may name it instead."""

    user: Text | None = Field(default=None, description="The account.")
    password: AccountSecret | None = Field(
        default=None,
        description="Its password, shown by AUTH PLAIN or LOGIN.",
        repr=False,
    )
    token_file: FilePath | None = Field(
        default=None,
        description="A file with an access token of OAuth 2, in the place of a password: read anew "
        "for each connection, and shown by AUTH XOAUTH2.",
    )

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if self.password is not None and self.token_file is not None:
            raise ValueError("an object with password or tokenFile, not both")
        return self


class SmtpOptions(MailOptions):
    """What is special about an SMTP server."""

    ca_file: FilePath | None = Field(
        default=None,
        description="Certificates in PEM that its TLS trusts instead of those of the service.",
    )
    helo_name: str = Field(
        default="",
        pattern=r"^$|^[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?$",
        description="What the service calls itself to the server. Default: its address.",
    )


class SmtpConfig(ProviderConfig):
    """An SMTP server."""

    facts = Facts(channels=("email",), both_bodies=True)

    type: Literal["smtp"] = of_type("smtp")
    url: SmtpUrl = needed(
        SmtpServer(),
        Variable("SMTP_URL", "an SMTP server, its account in it", smtp_server, secret=True),
        description="`smtp://user:password@host:587` (STARTTLS is a must), `smtps://` (TLS from "
        "the first byte) or `smtp+plain://` (neither).",
    )
    credentials: SmtpCredentials = Field(default_factory=SmtpCredentials)
    options: SmtpOptions = Field(default_factory=SmtpOptions)

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return self._made(context.read, context.tls, context.offload)

    def reached(self, read: ReadFile, tls: ssl.SSLContext) -> Mapping[str, Target]:
        """The server."""
        return {"url": Target(str(self.url), self._made(read, tls))}

    def check(self, read: ReadFile) -> None:
        """See that the account is whole, and the certificates are some."""
        account = self._account(read)
        if account is not None and account.token is not None:
            try:
                account.token()
            except ValueError as error:
                raise ValueError(f"credentials.tokenFile {error}") from None
        if self.options.ca_file is not None:
            self._own_trust(read)

    def warnings(self) -> Iterable[str]:
        """See `ProviderConfig`."""
        if self.url.security == "none" and (self.url.user or self.credentials.user):
            yield "smtp+plain sends the account's password in the clear"

    def _made(
        self, read: ReadFile, tls: ssl.SSLContext | None, offload: Offload | None = None
    ) -> Smtp:
        return Smtp(
            self.url,
            tls if self.options.ca_file is None else self._own_trust(read),
            account=self._account(read),
            name=self.options.helo_name,
            unsubscribe=self.options.list_unsubscribe,
            offload=offload,
        )

    def _account(self, read: ReadFile) -> Account | None:
        """Raises ValueError."""
        told, url = self.credentials, self.url
        user = told.user or url.user
        password = url.password if told.password is None else told.password
        if told.token_file is not None:
            if not user:
                raise ValueError("credentials.user: is missing; credentials.tokenFile needs it")
            return Account(user, token=partial(_token, read, told.token_file))
        if not user and password is None:
            return None
        if not user:
            raise ValueError("credentials.user: is missing; credentials.password needs it")
        if password is None:
            raise ValueError("credentials.password: is missing; credentials.user needs it")
        return Account(user, password.reveal())

    def _own_trust(self, read: ReadFile) -> ssl.SSLContext:
        """Raises ValueError."""
        file = self.options.ca_file or Path()
        try:
            pem = read(file, _LARGEST_CA).decode("ascii")
            return ssl.create_default_context(cadata=pem)
        except OSError as error:  # of which ssl.SSLError is one
            reason = "holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        except ValueError:
            reason = "holds no certificates in PEM"
        raise ValueError(f"options.caFile {file}: {reason or 'it cannot be read'}")


def _token(read: ReadFile, file: Path) -> str:
    """The access token as it is now. Raises ValueError, which begins with the file."""
    try:
        text = read(file, _LARGEST_TOKEN).decode("ascii").strip()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or 'it cannot be read'}") from None
    except ValueError:
        text = ""
    if not text or not text.isprintable():
        raise ValueError(f"{file}: holds no access token")
    return text


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Smtp:
    """Sends one mail a call, each over a connection that carries no other at the time.

    There are as many connections as calls are open at once; each is used again, after `RSET`.
    `tls` is what is trusted, httpx's by default. `unsubscribe` may hold `{deliveryId}`.
    """

    def __init__(
        self,
        server: SmtpServer,
        tls: ssl.SSLContext | None = None,
        *,
        account: Account | None = None,
        name: str = "",
        unsubscribe: str | None = None,
        offload: Offload | None = None,
        connect: Connect = connected_socket,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._server = server
        self._tls = tls if tls or server.security == "none" else httpx.create_ssl_context()
        self._account = account
        self._name = name
        self._unsubscribe = unsubscribe
        self._offload = offload or Offload()
        self._connect = connect
        self._now = now
        self._idle = _IdleSessions()

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Hand one mail over; accepted means that the server answers for it from now on."""
        try:
            mail = await self._mail(delivery)
        except NotMailable as error:
            return Refused(f"{SERVICE}: {error}")
        while True:
            session = self._idle.take()
            try:
                if session is None:
                    session = await self._opened()
                attempt = await session.carry(mail, delivery, started)
                if attempt is not None:
                    return attempt
            except Failed as failure:
                return failure.attempt(delivery)
            except Broken as broken:
                return Unavailable(f"{SERVICE}: {broken.error}", cause=Cause(broken.kind))
            except (OSError, UnicodeError) as error:
                return unsent(unsent_reply(error), SERVICE)
            finally:
                if session is not None:
                    self._idle.give_back(session)

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`. The account is shown, too."""
        try:
            session = await self._opened()
        except Failed as failure:
            return told(failure.reply, failure.stage)
        except Broken as broken:
            return f"{SERVICE}: {broken.error}"
        except (OSError, UnicodeError) as error:
            return unreached(unsent_reply(error), SERVICE)
        session.leave()
        return None

    async def aclose(self) -> None:
        """Close every idle connection; calls that are open close their own."""
        self._idle.close()

    async def _mail(self, delivery: Delivery) -> Mail:
        """Raises NotMailable."""
        url = unsubscribe_url(self._unsubscribe, delivery.id)
        content = delivery.content
        texts = (content.html, content.text) if isinstance(content, EmailContent) else ()
        is_long = sum(len(text or "") for text in texts) > _LONG
        make = partial(mail_of, delivery, self._now(), url)
        return await self._offload.run_if(is_long, make)

    async def _opened(self) -> Session:
        """A new connection, ready for a mail. Raises Failed, Broken, OSError or UnicodeError."""
        connected = await self._connect(self._server.host, self._server.port)
        session = Session(Stream(connected), self._server, self._tls, self._name)
        try:
            await session.open(self._account)
        except BaseException:
            session.close()
            raise
        return session


class _IdleSessions:
    """Connections between two mails, the one that carried the last mail first.

    A task closes what has been idle for too long, as long as anything is.
    """

    def __init__(self) -> None:
        self._idle: deque[Session] = deque()
        self._watch: trio.CancelScope | None = None

    def take(self) -> Session | None:
        """One that is still there; others on the way to it are closed."""
        while self._idle:
            session = self._idle.pop()
            if session.is_silent():
                return session
            session.close()
        return None

    def give_back(self, session: Session) -> None:
        """Keep a connection that can be used again, or close it."""
        if not session.is_reusable:
            session.close()
            return
        session.idle_since = trio.current_time()
        self._idle.append(session)
        if self._watch is None:
            self._watch = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._close_old, self._watch)

    def close(self) -> None:
        """Take leave on all of them."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        while self._idle:
            self._idle.pop().leave()

    async def _close_old(self, scope: trio.CancelScope) -> None:
        with scope:
            while self._idle:
                await trio.sleep_until(self._idle[0].idle_since + IDLE_SECONDS)
                while self._idle and self._is_old(self._idle[0]):
                    self._idle.popleft().leave()
            self._watch = None

    def _is_old(self, session: Session) -> bool:
        return trio.current_time() - session.idle_since >= IDLE_SECONDS
