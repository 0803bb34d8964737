"""A conversation with an SMTP server: a greeting, TLS, an account, then one mail at a time.

All that may be sent together is, where the server knows PIPELINING: on a server that does a mail
to one recipient takes two round trips, on others four.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from time import perf_counter
from typing import Final

import trio

from carillon.http_client.errors import MARGIN_SECONDS, STALE_SECONDS
from carillon.http_client.ports import Started
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Delivery,
    FailureKind,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.mail.message import Mail
from carillon.providers.smtp.replies import (
    SERVICE,
    NotSmtp,
    Replies,
    SmtpReply,
    Stage,
    failed,
    message_id,
)
from carillon.providers.smtp.server import SmtpServer
from carillon.providers.smtp.stream import Stream

_RESET: Final[FailureKind] = "reset"
_READY: Final = 354
_MORE: Final = 334
_CLOSING: Final = 421
_BLOCK: Final = 65_536
"""Bytes of a message that leave in one write."""
_TOGETHER: Final = 50
"""Commands that are sent before their replies are read: neither side's buffers fill up."""


class Failed(Exception):
    """The server's reply, which was to `stage`, ends the conversation before a message."""

    def __init__(self, stage: Stage, reply: SmtpReply) -> None:
        super().__init__(stage)
        self.stage = stage
        self.reply = reply

    def attempt(self, delivery: Delivery) -> Refused | Unavailable:
        """What it makes of an attempt."""
        return failed(self.reply, self.stage, delivery)


class Broken(Exception):
    """The conversation broke off, or cannot go on, for another cause than a reply."""

    def __init__(self, error: str, kind: FailureKind) -> None:
        super().__init__(error)
        self.error = error
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Account:
    """Who is to be believed to speak. `token` gives an access token of OAuth 2, as it is now.

    `token` raises ValueError with what is wrong.
    """

    user: str = field(repr=False)
    password: str = field(default="", repr=False)
    token: Callable[[], str] | None = None


class Session:
    """One connection to a server, and what the server has said that it knows.

    Whoever uses it closes it, unless it `is_reusable`.
    """

    def __init__(
        self, stream: Stream, server: SmtpServer, tls: ssl.SSLContext | None, name: str = ""
    ) -> None:
        """`tls` must be there unless the server has none.

        `name` is what it calls itself; empty, it is its address.
        """
        self._stream = stream
        self._server = server
        self._tls = tls
        self._name = name or _literal(stream.own_address)
        self._replies = Replies()
        self._shown: tuple[str, ...] = ()
        self._knows: Mapping[str, str] = {}
        self.mails = 0
        self.idle_since = 0.0
        self.is_reusable = False
        self._is_whole = False

    async def open(self, account: Account | None) -> None:
        """Greet, agree on TLS, and name the account. Raises Failed, Broken or OSError."""
        if self._server.security == "tls":
            await self._secure()
        self._expect(await self._reply(), "the connection")
        await self._greet()
        if self._server.security == "starttls":
            if "STARTTLS" not in self._knows:
                raise Broken("the server offers no STARTTLS, which smtp:// demands", "tls")
            self._expect(await self._ask("STARTTLS"), "STARTTLS")
            if self._has_more():
                raise Broken("the server went on in the clear after STARTTLS", "garbage")
            await self._secure()
            await self._greet()
        if account is not None:
            await self._authenticate(account)

    async def carry(self, mail: Mail, delivery: Delivery, started: Started) -> Attempt | None:
        """One mail, and what became of it.

        None where the connection turned out to be over before the message was begun: another one
        may carry it. Raises Failed, Broken or OSError where no byte of the message has left.
        """
        self.is_reusable = False
        if (objection := self._objection(mail)) is not None:
            self.is_reusable = True
            return objection
        is_first = self.mails == 0
        self.mails += 1
        try:
            attempt = await self._envelope(mail, delivery, is_first=is_first)
        except (Broken, OSError):
            if is_first:
                raise
            return None
        except Failed as failure:
            if is_first or failure.reply.code != _CLOSING:
                raise
            return None
        return attempt or await self._content(mail, delivery, started)

    def is_silent(self) -> bool:
        """Whether it may be used: the server has neither closed it nor said anything."""
        try:
            return not self._stream.look()
        except OSError:
            return False

    def leave(self) -> None:
        """Say goodbye, and wait for nothing."""
        self._stream.send_now(b"QUIT\r\n")
        self._stream.close()

    def close(self) -> None:
        """Close, whatever is under way."""
        self._stream.close()

    # Greeting

    async def _secure(self) -> None:
        if self._tls is None:
            raise TypeError("a server with TLS needs something to be trusted")
        await self._stream.secure(self._tls, self._server.host)

    async def _greet(self) -> None:
        reply = await self._ask(f"EHLO {self._name}")
        if reply.code >= 500 and self._server.security == "none":  # noqa: PLR2004 - an old server
            reply = await self._ask(f"HELO {self._name}")
        self._expect(reply, "EHLO")
        words = (line.partition(" ") for line in reply.lines[1:])
        self._knows = {name.upper(): rest.upper() for name, _, rest in words}

    async def _authenticate(self, account: Account) -> None:
        offered = self._knows.get("AUTH", "").split()
        if account.token is not None:
            if "XOAUTH2" not in offered:
                raise Broken("the server offers no AUTH XOAUTH2", "refused")
            await self._show_token(account.user, account.token)
        elif "PLAIN" in offered:
            (proof,) = self._proofs(account, f"\0{account.user}\0{account.password}")
            self._expect(await self._ask(f"AUTH PLAIN {proof}"), "AUTH")
        elif "LOGIN" in offered:
            proofs = self._proofs(account, account.user, account.password)
            for command in ("AUTH LOGIN", proofs[0]):
                self._expect(await self._ask(command), "AUTH", _MORE)
            self._expect(await self._ask(proofs[1]), "AUTH")
        else:
            raise Broken("the server offers neither AUTH PLAIN nor LOGIN", "refused")

    async def _show_token(self, user: str, token: Callable[[], str]) -> None:
        try:
            account = Account(user, token())
        except ValueError as error:
            raise Broken(f"credentials.tokenFile {error}", "refused") from None
        bearer = f"user={user}\x01auth=Bearer {account.password}\x01\x01"
        (proof,) = self._proofs(account, bearer)
        reply = await self._ask(f"AUTH XOAUTH2 {proof}")
        if reply.code == _MORE:  # its text says why, and the refusal follows an empty answer
            reply = await self._ask("")
        self._expect(reply, "AUTH")

    def _proofs(self, account: Account, *texts: str) -> Sequence[str]:
        """These as they are sent. What of it a server says again is shown to nobody."""
        proofs = [b64encode(text.encode()).decode("ascii") for text in texts]
        self._shown = tuple(filter(None, [*proofs, account.password, account.user]))
        return proofs

    # One mail

    def _objection(self, mail: Mail) -> Refused | None:
        """Why the server cannot take a mail, by what it knows."""
        if mail.is_international and "SMTPUTF8" not in self._knows:
            error = "an address is not ASCII, and the server does not know SMTPUTF8"
            return Refused(f"{SERVICE}: {error}")
        most = self._knows.get("SIZE", "")
        if most.isdecimal() and 0 < int(most) < mail.size:
            sizes = f"the mail has {mail.size:,} bytes, and the server takes {int(most):,}"
            return Refused(f"{SERVICE}: {sizes}")
        return None

    async def _envelope(
        self, mail: Mail, delivery: Delivery, *, is_first: bool
    ) -> Refused | Unavailable | None:
        """Name sender and recipients; None when the server waits for the message.

        The first recipient decides: a copy that is refused for itself does not keep the mail back.
        """
        resets = [] if is_first else ["RSET"]
        # With one recipient nobody else would get a mail whose recipient is refused.
        data = ["DATA"] if len(mail.recipients) == 1 else []
        recipients = [f"RCPT TO:<{one}>" for one in mail.recipients]
        commands = [*resets, self._mail_from(mail), *recipients, *data]
        replies = await self._ask_all(commands, needed=len(resets) + 2)
        if resets:
            self._expect(replies.pop(0), "RSET")
        stages: tuple[Stage, Stage] = ("MAIL", "RCPT")
        for stage, reply in zip(stages, replies, strict=False):
            if not reply.is_positive:
                return self._give_up(reply, stage, delivery, replies[1 + len(recipients) :])
        ready = replies[-1] if data else await self._ask("DATA")
        if ready.code != _READY:
            return self._give_up(ready, "DATA", delivery)
        return None

    def _mail_from(self, mail: Mail) -> str:
        words = [f"MAIL FROM:<{mail.sender}>"]
        if "SIZE" in self._knows:
            words.append(f"SIZE={mail.size}")
        if mail.is_international:
            words += ["BODY=8BITMIME", "SMTPUTF8"] if "8BITMIME" in self._knows else ["SMTPUTF8"]
        return " ".join(words)

    def _give_up(
        self,
        reply: SmtpReply,
        stage: Stage,
        delivery: Delivery,
        after: Sequence[SmtpReply] = (),
    ) -> Refused | Unavailable:
        """What a refusal means. The session goes on, unless the server waits for a message."""
        if reply.code == _CLOSING:
            raise Failed(stage, reply)
        waits = _READY in {one.code for one in (reply, *after)}
        self.is_reusable = reply.code >= 400 and not waits and self._replies.is_empty  # noqa: PLR2004
        return failed(reply, stage, delivery)

    async def _content(self, mail: Mail, delivery: Delivery, started: Started) -> Attempt:
        """Send the message. Only its last line makes the server act on it."""
        reply: SmtpReply | None = None
        error, kind = "no answer: connection lost", _RESET
        self._is_whole = False
        with trio.CancelScope() as scope:
            try:
                await self._write(mail, started, scope)
                reply = await self._reply()
            except Broken as broken:
                error, kind = broken.error, broken.kind
            except OSError:
                pass
        if scope.cancelled_caught:
            error, kind = "no answer in time", "timeout"
        if reply is None:
            reply = self._heard()
        if reply is not None:
            return self._answered(reply, delivery)
        if self._is_whole:
            return Unanswered(f"{SERVICE}: {error}", Cause(kind))
        return Unavailable(f"{SERVICE}: {error}, and the message was not whole", cause=Cause(kind))

    async def _write(self, mail: Mail, started: Started, scope: trio.CancelScope) -> None:
        """Write the message, as far as the server takes it without a word."""
        blocks = _blocks(mail.pieces())
        block, is_last = next(blocks)
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._has_more():
            return
        # Nothing is waited for between this and the first byte.
        scope.deadline = started() - MARGIN_SECONDS
        since = perf_counter()
        is_sent = await self._stream.send(block, lambda: _start_again(started, since))
        while is_sent and not is_last:
            block, is_last = next(blocks)
            if is_last and self._has_more():
                return
            is_sent = await self._stream.send(block)
        self._is_whole = is_sent

    def _answered(self, reply: SmtpReply, delivery: Delivery) -> Attempt:
        is_whole = self._is_whole
        self.is_reusable = is_whole and reply.code != _CLOSING and self._replies.is_empty
        if reply.code >= 400:  # noqa: PLR2004 - both kinds of failure
            return failed(reply, "the message", delivery)
        if reply.is_positive and is_whole:
            return Accepted(message_id(reply), reply.code)
        self.is_reusable = False
        error, cause = (
            f"{SERVICE} answered {reply.code} to the message",
            Cause("garbage", reply.code),
        )
        return Unanswered(error, cause) if is_whole else Unavailable(error, cause=cause)

    # Commands and replies

    async def _ask(self, command: str) -> SmtpReply:
        (reply,) = await self._ask_all([command], needed=1)
        return reply

    async def _ask_all(self, commands: Sequence[str], needed: int) -> list[SmtpReply]:
        """The replies to these, in order.

        Where the server wants to be asked one by one, and one of the first `needed` is refused,
        the others are not asked.
        """
        if "PIPELINING" not in self._knows:
            return await self._ask_in_turn(commands, needed)
        replies: list[SmtpReply] = []
        for at in range(0, len(commands), _TOGETHER):
            block = commands[at : at + _TOGETHER]
            await self._stream.send("".join(f"{one}\r\n" for one in block).encode())
            replies += [await self._reply() for _ in block]
        return replies

    async def _ask_in_turn(self, commands: Sequence[str], needed: int) -> list[SmtpReply]:
        replies: list[SmtpReply] = []
        for number, command in enumerate(commands):
            await self._stream.send(f"{command}\r\n".encode())
            replies.append(await self._reply())
            if number < needed and not replies[-1].is_positive:
                break
        return replies

    async def _reply(self) -> SmtpReply:
        """The next reply. Raises Failed, or OSError."""
        try:
            while (reply := self._replies.take()) is None:
                data = await self._stream.receive()
                if not data:
                    raise Broken("no answer: server disconnected", "reset")
                self._replies.feed(data)
        except NotSmtp:
            raise Broken("no answer: not SMTP", "garbage") from None
        return self._without_account(reply)

    def _without_account(self, reply: SmtpReply) -> SmtpReply:
        if reply.code < 400 or not self._shown:  # noqa: PLR2004 - the words of others reach nobody
            return reply
        text = reply.text
        for shown in self._shown:
            text = text.replace(shown, "…")
        return SmtpReply(reply.code, (text,), reply.enhanced)

    def _has_more(self) -> bool:
        """Whether the server has said something that nobody asked for, or has gone."""
        return not self._replies.is_empty or self._stream.look()

    def _heard(self) -> SmtpReply | None:
        """A reply that is there without waiting; None where there is none."""
        try:
            if self._stream.look():
                self._replies.feed(self._stream.read_now())
            reply = self._replies.take()
        except (OSError, NotSmtp):
            return None
        return None if reply is None else self._without_account(reply)

    def _expect(self, reply: SmtpReply, stage: Stage, code: int | None = None) -> None:
        """Raises Failed for any other reply than a success, or than `code`."""
        if reply.code == code or (code is None and reply.is_positive):
            return
        raise Failed(stage, reply)


def _start_again(started: Started, since: float) -> None:
    """Stamp a start anew whose first byte left late: see `Started`."""
    if perf_counter() - since > STALE_SECONDS:
        started()


def _blocks(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The message as it is written, with the line that ends it; whether a block is the last."""
    block = bytearray()
    for piece in pieces:
        if len(block) >= _BLOCK:
            yield bytes(block), False
            block.clear()
        if piece.startswith(b"."):
            block += b"."
        block += piece.replace(b"\r\n.", b"\r\n..") if b"\r\n." in piece else piece
    yield bytes(block + b".\r\n"), True


def _literal(address: str) -> str:
    """An address in the place of a name."""
    return f"[IPv6:{address}]" if ip_address(address).version == 6 else f"[{address}]"  # noqa: PLR2004
