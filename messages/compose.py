"""One recipient and one channel make one delivery, or the receipt that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from messages.addresses import is_email, phone_number
from messages.envelope import EXPIRED
from messages.events import DeliveryCrashed, Observer
from messages.model import (
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
from messages.render import NoContent, NotRenderable, Texts

USER: Final = "user/"
LISTED: Final = "listed/"
"""What the keys of deliveries begin with: see `delivery_id`."""


@dataclass(frozen=True, slots=True)
class Composer:
    """What all deliveries of one dispatch have in common.

    `refusals` say why nothing can be rendered for a channel any more: then all of it fails. What
    raises while one delivery is composed is a bug, which `observe` is told: that one fails alone.
    """

    dispatch_id: str
    texts: Texts
    senders: Mapping[Channel, str]
    user_fields: UserFields
    mail: MailExtras
    refusals: Mapping[Channel, str] = field(default_factory=dict)
    observe: Observer | None = None

    def compose(self, channel: Channel, recipient: Recipient) -> Delivery | Receipt:
        """The rendered delivery, or how it ended before it could be one. Never raises."""
        key = f"{USER}{recipient.key}"
        try:
            return self._compose(channel, recipient, key)
        except Exception as error:
            if self.observe is not None:
                identity = delivery_id(self.dispatch_id, channel, key)
                self.observe(DeliveryCrashed(identity, self.dispatch_id, channel, error))
            why = "Internal error while composing"
            return self._failure(channel, key, recipient.user_id, "crashed", why)

    def _compose(self, channel: Channel, recipient: Recipient, key: str) -> Delivery | Receipt:
        if (why := self.refusals.get(channel)) is not None:
            return self._failure(channel, key, recipient.user_id, "not-renderable", why)
        value = recipient.document.get(self.user_fields.address_of(channel))
        if value is None or value == "":
            return self._receipt(channel, key, recipient.user_id, "skipped", "no-address")
        address = _address(channel, value)
        if address is None:
            name = self.user_fields.address_of(channel)
            error = f"Invalid {name}"
            return self._failure(channel, key, recipient.user_id, "invalid-address", error)
        try:
            content = self.texts.content(channel, recipient.document)
        except NoContent as error:
            return self._failure(channel, key, recipient.user_id, "no-content", str(error))
        except NotRenderable as error:
            return self._failure(channel, key, recipient.user_id, "not-renderable", str(error))
        return Delivery(
            id=delivery_id(self.dispatch_id, channel, key),
            dispatch_id=self.dispatch_id,
            channel=channel,
            key=key,
            user_id=recipient.user_id,
            address=address,
            sender=self.senders.get(channel, ""),
            content=content,
            mail=self.mail if channel == "email" else None,
        )

    def expired(self, delivery: Delivery) -> Receipt:
        """The failure of a delivery whose time was over before it was its turn."""
        return self._receipt(
            delivery.channel,
            delivery.key,
            delivery.user_id,
            "expired",
            "expired",
            EXPIRED,
        )

    def unknown_user(self, channel: Channel, user_id: str) -> Receipt:
        """The failure of a listed id that nobody has."""
        key = f"{LISTED}{user_id}"
        return self._failure(channel, key, user_id, "user-not-found", "User not found")

    def ambiguous_user(self, channel: Channel, user_id: str) -> Receipt:
        """The failure of an id that several users have, once however often it is met."""
        error = "More than one user has this id"
        return self._failure(channel, f"{LISTED}{user_id}", user_id, "user-not-found", error)

    def gone(self, channel: Channel, key: str, user_id: str) -> Receipt:
        """The failure of an enrolled delivery whose user nobody has any more."""
        return self._failure(channel, key, user_id, "user-not-found", "User not found")

    def crashed(self, channel: Channel, key: str, user_id: str) -> Receipt:
        """The failure of an enrolled delivery whose dispatch a bug cut short."""
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


def _address(channel: Channel, value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if channel == "email":
        return value if is_email(value) else None
    if channel == "push":
        return value if value.isprintable() else None
    return phone_number(value)
