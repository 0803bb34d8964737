"""The pending deliveries of one channel, which an earlier process enrolled and did not end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import trio

from carillon.dispatches.compose import INLINE, USER, Composer, delivery_key
from carillon.dispatches.feed import Item
from carillon.dispatches.inline import InlineRecipients
from carillon.messages.errors import TryLater
from carillon.messages.events import DirectoryFailed, Observer
from carillon.messages.model import Channel, Receipt, Recipient
from carillon.messages.offload import SMALL
from carillon.messages.ports.directory import Directory
from carillon.messages.ports.records import PastAttempt, Pending
from carillon.messages.retry import retry_until


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A delivery, or how it ended, and its earlier attempts; see `Envelope.remember`."""

    item: Item
    attempts: Sequence[PastAttempt]
    starts: int


class PendingSource(Protocol):
    """Where pending deliveries are read from."""

    async def pending(
        self, dispatch_id: str, channel: Channel, after: str, limit: int
    ) -> Sequence[Pending]:
        """See `Recovery.pending` of `messages.ports.records`."""
        ...


class Given:
    """Pending deliveries that are at hand, in the order of their keys."""

    def __init__(self, deliveries: Mapping[Channel, Sequence[Pending]]) -> None:
        self._deliveries = deliveries

    async def pending(
        self, _dispatch_id: str, channel: Channel, after: str, limit: int
    ) -> Sequence[Pending]:
        """See `PendingSource`."""
        await trio.lowlevel.checkpoint()
        return [one for one in self._deliveries.get(channel, ()) if one.key > after][:limit]


class PendingReader:
    """Reads pending deliveries in the order of their keys, and composes them again.

    Users are read again by their `_id`, those that the request brought from there; the delivery to
    a user that no longer exists fails. Reads from neighbours that are down are retried until they
    answer or `stop` is set.
    """

    def __init__(
        self,
        channel: Channel,
        composer: Composer,
        source: PendingSource,
        directory: Directory,
        observe: Observer,
        stop: trio.Event,
        inline: InlineRecipients | None = None,
    ) -> None:
        self.channel = channel
        self._composer = composer
        self._inline = inline
        self._source = source
        self._directory = directory
        self._observe = observe
        self._stop = stop
        self._after = ""

    async def next(self, most: int) -> Sequence[PendingDelivery]:
        """At most `most` further deliveries; none at the end, or once it has to stop."""
        if self._stop.is_set():
            return []
        return await retry_until(lambda: self._read(most), self._stop, self._tell) or []

    def _tell(self, error: TryLater) -> None:
        self._observe(DirectoryFailed(self._composer.dispatch_id, str(error)))

    async def _read(self, most: int) -> Sequence[PendingDelivery]:
        identity = self._composer.dispatch_id
        found = await self._source.pending(identity, self.channel, self._after, most)
        composed = await self.compose(found)
        # Only now: if composing raises, the retry must read the same deliveries.
        if found:
            self._after = found[-1].key
        return composed

    async def compose(self, found: Sequence[Pending]) -> Sequence[PendingDelivery]:
        """Compose deliveries again. Raises TryLater if their users cannot be read."""
        users = await self._users([one for one in found if one.ended is None])
        recipients = [
            replace(users[one.key], user_id=one.user_id)
            for one in found
            if one.ended is None and one.key in users
        ]
        composed = iter(await self._composer.compose_all(self.channel, recipients))
        return [
            PendingDelivery(
                self._checked(self._item(one, users, composed), one), one.attempts, one.starts
            )
            for one in found
        ]

    async def cut_short(self, after: str, limit: int) -> Sequence[tuple[str, Receipt]]:
        """The keys of at most `limit` pending deliveries beyond `after`, and how they fail.

        Deliveries of a dispatch that a bug cut short are not composed again. Raises TryLater.
        """
        composer, channel = self._composer, self.channel
        found = await self._source.pending(composer.dispatch_id, channel, after, limit)
        return [
            (one.key, one.ended or told_of(composer.crashed(channel, one.key, one.user_id), one))
            for one in found
        ]

    def _checked(self, item: Item, one: Pending) -> Item:
        if isinstance(item, Receipt) and one.ended is None:
            return told_of(item, one)
        return item

    async def _users(self, found: Sequence[Pending]) -> dict[str, Recipient]:
        recipients: list[Recipient] = []
        if keys := _keys(found, USER):
            recipients += await self._directory.users(keys)
        if (inline := self._inline) is not None and (keys := _keys(found, INLINE)):
            read = partial(inline.at, [int(key) for key in keys if key.isdecimal()])
            recipients += await self._composer.offload.run_if(inline.size > SMALL, read)
        return {delivery_key(recipient): recipient for recipient in recipients}

    def _item(self, one: Pending, users: Mapping[str, Recipient], composed: Iterator[Item]) -> Item:
        """How a delivery ended, or the next of the deliveries composed for the `users`."""
        if one.ended is not None:
            return one.ended
        if one.key not in users:
            return self._composer.gone(self.channel, one.key, one.user_id)
        return next(composed)


def _keys(found: Sequence[Pending], prefix: str) -> list[str]:
    return [one.key.removeprefix(prefix) for one in found if one.key.startswith(prefix)]


def told_of(receipt: Receipt, one: Pending) -> Receipt:
    """How a delivery that is not sent any more fails; in doubt if it may have been sent."""
    made = [each for each in one.attempts if each.result != "unstarted"]
    if not made:
        return receipt
    told = replace(receipt, provider=made[-1].provider, attempts=len(made))
    last = one.attempts[-1]
    if last.result is None or "unanswered" in {each.result for each in made}:
        error = f"Outcome unknown: an earlier attempt was never answered; then {receipt.error}"
        told = replace(told, outcome="in-doubt", reason="unknown-outcome", error=error)
    return told
