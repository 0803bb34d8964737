"""The words of a dispatch as data: recipients, contents, addresses and outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Literal, TypeAlias, get_args

from carillon.messages.record import record

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Document: TypeAlias = dict[str, JsonValue]

Channel = Literal["email", "sms", "push", "voice"]
CHANNELS: Final[tuple[Channel, ...]] = ("email", "sms", "push", "voice")

Priority = Literal["high", "normal", "bulk"]
PRIORITIES: Final[tuple[Priority, ...]] = ("high", "normal", "bulk")

Outcome = Literal["pending", "sent", "failed", "skipped", "in-doubt", "expired", "cancelled"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
UNSENT: Final[tuple[Outcome, ...]] = tuple(
    outcome for outcome in OUTCOMES if outcome not in {"sent", "pending"}
)
"""Outcomes after which a delivery may be sent again."""
FAILURES: Final[frozenset[Outcome]] = frozenset({"failed", "in-doubt", "expired", "cancelled"})

Reason = Literal[
    "accepted",
    "confirmed",
    "no-address",
    "user-not-found",
    "invalid-address",
    "no-content",
    "not-renderable",
    "rejected",
    "exhausted",
    "unknown-outcome",
    "expired",
    "cancelled",
    "channel-down",
    "crashed",
    "directory-unavailable",
    "stopping",
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class UserFields:
    """Which fields of a user document hold what; each defaults to its own name."""

    id: str = "_id"
    email_address: str = "emailAddress"
    phone_number: str = "phoneNumber"
    device_token: str = "deviceToken"  # noqa: S105 - the name of a field
    clusters: str = "clusters"

    def address_of(self, channel: Channel) -> str:
        """The field that holds the address a channel needs."""
        if channel == "email":
            return self.email_address
        return self.device_token if channel == "push" else self.phone_number

    def user_id(self, document: Document) -> str:
        """The id of a user in `recipients` and in failures: the id field, else `_id`."""
        value = document.get(self.id)
        return str(document.get("_id") if value is None else value)


@record(frozen=True, slots=True)
class Recipient:
    """A user document chosen by id or by cluster, or one that a request brings with it.

    `key` is the text of its `_id`, unique in the directory; `user_id` is the id that callers know.
    The key of one that `is_inline` is its place in the request.
    """

    user_id: str
    key: str
    document: Document
    is_inline: bool = False


@dataclass(frozen=True, slots=True)
class Audience:
    """The users a dispatch is for: listed ids first, then every member of at least one cluster.

    `fields` names the user fields that are needed, None means all; a directory may read more.
    """

    recipients: Sequence[str] = ()
    clusters: Sequence[str] = ()
    fields: frozenset[str] | None = None


@record(frozen=True, slots=True)
class Cursor:
    """Where reading an audience continues.

    `position` counts the listed ids already read and then, beyond the last one, the clusters read
    to their end; `after` is the `_id` of the last user read at that position, None before the
    first. A directory that reads all clusters in one scan leaves `position` at the first.
    """

    position: int = 0
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of an audience: the users found, the listed ids without a user, the next cursor.

    `ambiguous` holds ids that several users share; none of those users is among the recipients.
    `size` is the approximate size in bytes of the users' documents as they were read.
    """

    recipients: Sequence[Recipient]
    missing: Sequence[str]
    next: Cursor | None
    ambiguous: Sequence[str] = ()
    size: int = field(default=0, compare=False)

    @property
    def length(self) -> int:
        """How many users and ids the page holds."""
        return len(self.recipients) + len(self.missing) + len(self.ambiguous)


@dataclass(frozen=True, slots=True)
class AttachmentReference:
    """A file as a request or a template names it; `name` and `size` are hints, often absent."""

    file: str
    name: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A fetched file, ready for mailing."""

    name: str
    content: bytes = field(repr=False)
    media_type: str = "application/octet-stream"


@record(frozen=True, slots=True)
class EmailContent:
    """A rendered mail. One of the bodies is set; both where some provider carries both."""

    subject: str
    text: str | None = None
    html: str | None = None


@record(frozen=True, slots=True)
class TextContent:
    """A rendered SMS or the words of a call."""

    text: str


@record(frozen=True, slots=True)
class PushContent:
    """A rendered push notification; `android` and `apns` come from `pushData`, in FCM's shapes."""

    title: str | None = None
    subtitle: str | None = None
    message: str | None = None
    android: Document | None = None
    apns: Document | None = None


Content = EmailContent | TextContent | PushContent


@dataclass(frozen=True, slots=True)
class MailExtras:
    """What every mail of one dispatch shares."""

    carbon_copies: Sequence[str] = ()
    blind_carbon_copies: Sequence[str] = ()
    attachments: Sequence[Attachment] = ()


@record(frozen=True, slots=True)
class Delivery:
    """One rendered message to one recipient on one channel: the unit that is sent and retried.

    `context` holds what the request says under `user` and `data`, if a provider of the channel has
    templates of its own that read them. The `repr` leaves out addresses and texts, so that no log
    line shows them.
    """

    id: str
    dispatch_id: str
    channel: Channel
    key: str = field(repr=False)
    user_id: str = field(repr=False)
    address: str = field(repr=False)
    sender: str
    content: Content = field(repr=False)
    mail: MailExtras | None = field(default=None, repr=False)
    context: Mapping[str, object] | None = field(default=None, repr=False)


def delivery_id(dispatch_id: str, channel: Channel, key: str) -> str:
    """32 hex digits that are the same for the same dispatch, channel and key.

    The key identifies a delivery within its dispatch and channel: "user/" and the `_id` of its
    user, "to/" and the place, in seven digits, of one that the request brings, or "listed/" and an
    id without a user.

    The id is derived and not random, so that a repeated enrolment finds the first one, and a
    provider that recognises repeats sees the same id after a restart.
    """
    name = f"{dispatch_id}\0{channel}\0{key}"
    try:
        content = name.encode()
    except UnicodeEncodeError:  # a directory may hold a key with half a character
        content = name.encode(errors="surrogatepass")  # which takes five times as long for any text
    return blake2b(content, digest_size=16).hexdigest()


FailureKind = Literal[
    "dns",
    "refused",
    "reset",
    "tls",
    "timeout",
    "http-3xx",
    "http-4xx",
    "http-5xx",
    "smtp-4xx",
    "smtp-5xx",
    "garbage",
    "own-limit",
]
"""What went wrong with a call: the name was not found, no connection was made, it broke off, TLS
failed, it timed out, the status of the answer or the code of a reply, an invalid answer, a shortage
of our own."""


@record(frozen=True, slots=True)
class Cause:
    """Why a call failed: the `status` of its answer if there was one.

    If it is `of_message` only this message is at fault: the provider is healthy.
    """

    kind: FailureKind
    status: int | None = None
    of_message: bool = False


@record(frozen=True, slots=True)
class Receipt:
    """How a delivery ended. `error` is text for people and holds no address and no sent text.

    `cause` is that of its last attempt, if that failed. A `late` receipt replaces an earlier
    outcome; `replaces` names that outcome if the dispatch may still count it.
    """

    delivery_id: str
    dispatch_id: str
    channel: Channel
    key: str = field(repr=False)
    user_id: str = field(repr=False)
    outcome: Outcome
    reason: Reason
    error: str = ""
    provider: str | None = None
    attempts: int = 0
    provider_message_id: str | None = None
    late: bool = False
    replaces: Outcome | None = None
    cause: Cause | None = field(default=None, compare=False)

    @property
    def is_failure(self) -> bool:
        """Whether it is listed in `failures`: everything that did not end sent or skipped."""
        return self.outcome in FAILURES


# How one attempt ended, as a provider's adapter reads it. The cause does not count in comparisons.


@record(frozen=True, slots=True)
class Accepted:
    """The provider took the message; `status` is that of its answer, if it has one."""

    message_id: str | None = None
    status: int | None = field(default=None, compare=False)


@record(frozen=True, slots=True)
class Refused:
    """The provider will never take this message: a retry is pointless."""

    error: str
    reason: Reason = "rejected"
    cause: Cause | None = field(default=None, compare=False)


@record(frozen=True, slots=True)
class Unavailable:
    """The provider did not take it now and may later; nothing was sent.

    `retry_after` is in seconds; with it, or when `throttled`, the whole provider pauses.
    """

    error: str
    retry_after: float | None = None
    throttled: bool = False
    cause: Cause | None = field(default=None, compare=False)


@record(frozen=True, slots=True)
class Unanswered:
    """The request was written, wholly or in part, and no answer was read."""

    error: str
    cause: Cause | None = field(default=None, compare=False)


@record(frozen=True, slots=True)
class Postponed:
    """No byte reached the provider, and it is not to blame: this does not count as an attempt.

    The next try is due in `seconds`.
    """

    error: str
    seconds: float


Attempt = Accepted | Refused | Unavailable | Unanswered | Postponed
