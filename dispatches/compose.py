"""Makes one delivery of one recipient and one channel, or the receipt that says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Final

import trio

from carillon.dispatches.render import NoContent, NotRenderable, Texts
from carillon.handlebars import TakesLong
from carillon.messages.addresses import is_email, phone_number
from carillon.messages.envelope import EXPIRED
from carillon.messages.events import DeliveryCrashed, Event, Observer
from carillon.messages.model import (
    Channel,
    Delivery,
    MailExtras,
    Outcome,
    Reason,
    Receipt,
    Recipient,
    UserFields,
    delivery_id,
)
from carillon.messages.offload import Offload

TURN: Final = 0.005
"""Seconds of composing in the event loop before other tasks get a turn."""
WHILE: Final = 0.1
"""Seconds of composing in the thread before other work gets a turn there."""
USER: Final = "user/"
INLINE: Final = "to/"
LISTED: Final = "listed/"
"""The prefixes of delivery keys: see `delivery_id`."""


@dataclass(frozen=True, slots=True)
class Composer:
    """What all deliveries of one dispatch have in common.

    `refusals` say why nothing can be rendered for a channel any more: all its deliveries fail. An
    exception while composing one delivery is a bug, which `observe` gets: only that one fails.
    """

    dispatch_id: str
    texts: Texts
    senders: Mapping[Channel, str]
    user_fields: UserFields
    mail: MailExtras
    refusals: Mapping[Channel, str] = field(default_factory=dict)
    observe: Observer | None = None
    offload: Offload = field(default_factory=Offload)

    async def compose_all(
        self, channel: Channel, recipients: Sequence[Recipient]
    ) -> Sequence[Delivery | Receipt]:
        """The rendered deliveries of a slice, or the receipts of those that cannot be sent.

        Yields to other tasks every few milliseconds; what takes longer runs in a thread.
        """
        made: list[Delivery | Receipt] = []
        if not recipients:
            return made
        with self.texts.in_use():
            if not self.texts.takes_long:
                await self._compose_here(channel, recipients, made)
            while len(made) < len(recipients):
                rest = recipients[len(made) :]
                made += await self.offload.run(partial(self._compose_for_a_while, channel, rest))
        return made

    async def _compose_here(
        self, channel: Channel, recipients: Sequence[Recipient], made: list[Delivery | Receipt]
    ) -> None:
        """Compose in the loop up to the first delivery that takes long."""
        compose = self._composing(channel, short=True)
        began = perf_counter()
        for recipient in recipients:
            try:
                made.append(compose(recipient))
            except TakesLong:
                return
            except Exception as error:
                made.append(self._cut_off(channel, recipient, error, self.observe))
            if perf_counter() - began > TURN:
                await trio.lowlevel.checkpoint()
                began = perf_counter()

    def _compose_for_a_while(
        self, channel: Channel, recipients: Sequence[Recipient]
    ) -> Sequence[Delivery | Receipt]:
        compose = self._composing(channel, short=False)
        until = perf_counter() + WHILE
        made: list[Delivery | Receipt] = []
        for recipient in recipients:
            try:
                made.append(compose(recipient))
            except Exception as error:
                made.append(self._cut_off(channel, recipient, error, self._observe_from_thread))
            if perf_counter() > until:
                break
        return made

    def _observe_from_thread(self, event: Event) -> None:
        if self.observe is not None:
            trio.from_thread.run_sync(self.observe, event)

    def _cut_off(
        self, channel: Channel, recipient: Recipient, error: Exception, observe: Observer | None
    ) -> Receipt:
        """The failure of a delivery that could not be composed because of a bug."""
        key = delivery_key(recipient)
        if observe is not None:
            identity = delivery_id(self.dispatch_id, channel, key)
            observe(DeliveryCrashed(identity, self.dispatch_id, channel, error))
        why = "Internal error while composing"
        return self._failure(channel, key, recipient.user_id, "crashed", why)

    def _composing(
        self, channel: Channel, *, short: bool
    ) -> Callable[[Recipient], Delivery | Receipt]:
        """What makes deliveries of one channel, or the receipts that say why they cannot be sent.

        What all of a slice share is looked up once. It raises TakesLong if what it makes should be
        `short`, and takes longer than some milliseconds; any other exception is a bug.
        """
        dispatch_id, refusal = self.dispatch_id, self.refusals.get(channel)
        field, check = self.user_fields.address_of(channel), _CHECKS[channel]
        sender, mail = self.senders.get(channel, ""), self.mail if channel == "email" else None
        render, handed_on = self.texts.renderer(channel, short=short), self.texts.handed_on
        fail = partial(self._failure, channel)

        def compose(recipient: Recipient) -> Delivery | Receipt:
            user_id, key, user = recipient.user_id, delivery_key(recipient), recipient.document
            if not user_id or not recipient.key:  # two such users would share one key
                return fail(key, user_id, "user-not-found", "The user has an empty id")
            if refusal is not None:
                return fail(key, user_id, "not-renderable", refusal)
            value = user.get(field)
            if value is None or value == "":
                return self._receipt(channel, key, user_id, "skipped", "no-address")
            address = check(value) if isinstance(value, str) else None
            if address is None:
                return fail(key, user_id, "invalid-address", f"Invalid {field}")
            try:
                content = render(user)
            except (NoContent, NotRenderable) as error:
                is_empty = isinstance(error, NoContent)
                return fail(
                    key, user_id, "no-content" if is_empty else "not-renderable", str(error)
                )
            identity, context = delivery_id(dispatch_id, channel, key), handed_on(channel, user)
            return Delivery(
                identity,
                dispatch_id,
                channel,
                key,
                user_id,
                address,
                sender,
                content,
                mail,
                context,
            )

        return compose

    def expired(self, delivery: Delivery) -> Receipt:
        """The failure of a delivery that expired before its turn came."""
        return self._receipt(
            delivery.channel,
            delivery.key,
            delivery.user_id,
            "expired",
            "expired",
            EXPIRED,
        )

    def unknown_user(self, channel: Channel, user_id: str) -> Receipt:
        """The failure of a listed id that no user has."""
        key = f"{LISTED}{user_id}"
        return self._failure(channel, key, user_id, "user-not-found", "User not found")

    def ambiguous_user(self, channel: Channel, user_id: str) -> Receipt:
        """The failure of an id that several users share; it counts once, however often it comes."""
        error = "More than one user has this id"
        return self._failure(channel, f"{LISTED}{user_id}", user_id, "user-not-found", error)

    def gone(self, channel: Channel, key: str, user_id: str) -> Receipt:
        """The failure of an enrolled delivery whose user does not exist any more."""
        why = self.refusals.get(channel)
        if why is not None and key.startswith(INLINE):  # its user was lost with the request
            return self._failure(channel, key, user_id, "not-renderable", why)
        return self._failure(channel, key, user_id, "user-not-found", "User not found")

    def crashed(self, channel: Channel, key: str, user_id: str) -> Receipt:
        """The failure of an enrolled delivery whose dispatch was cut short by a bug."""
        why = "The dispatch was cut short by an internal error"
        return self._failure(channel, key, user_id, "crashed", why)

    def _failure(
        self, channel: Channel, key: str, user_id: str, reason: Reason, error: str
    ) -> Receipt:
        return self._receipt(channel, key, user_id, "failed", reason, error)

    def _receipt(
        self,
        channel: Channel,
        key: str,
        user_id: str,
        outcome: Outcome,
        reason: Reason,
        error: str = "",
    ) -> Receipt:
        identity = delivery_id(self.dispatch_id, channel, key)
        return Receipt(identity, self.dispatch_id, channel, key, user_id, outcome, reason, error)


def delivery_key(recipient: Recipient) -> str:
    """What identifies the delivery to a recipient: see `delivery_id`."""
    return f"{INLINE if recipient.is_inline else USER}{recipient.key}"


def _email(text: str) -> str | None:
    return text if is_email(text) else None


def _token(text: str) -> str | None:
    return text if text.isprintable() else None


_CHECKS: Final[Mapping[Channel, Callable[[str], str | None]]] = {
    "email": _email,
    "sms": phone_number,
    "push": _token,
    "voice": phone_number,
}
"""What gives the address that a text of a user's field is, if it is one."""
