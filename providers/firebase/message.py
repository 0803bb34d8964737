"""A delivery as a message of FCM HTTP v1: what is ours, then what `pushData` says.

Contract: the FCM discovery document (contracts 2.3).
"""

from __future__ import annotations

import json
from collections.abc import Callable

from carillon.messages.model import Delivery, Document, JsonValue, PushContent

Convert = Callable[[JsonValue], JsonValue]


def fcm_message(delivery: Delivery, content: PushContent, click_action: str = "") -> Document:
    """The body of `messages:send`.

    A repeat replaces the first message on the device: `android.notification.tag` and
    `apns-collapse-id` are the delivery's id. What `pushData` sets itself is never replaced. An
    Android message without anything to show stays a data message: it gets no notification.
    """
    message: Document = {"token": delivery.address}
    notification = _present(title=content.title, body=content.message)
    if notification:
        message["notification"] = notification
    android = _android(delivery.id, content, click_action)
    if android:
        message["android"] = android
    message["apns"] = _apns(delivery.id, content)
    return {"message": message}


def _android(tag: str, content: PushContent, click_action: str) -> Document:
    given = content.android or {}
    shows = content.title is not None or content.message is not None or "notification" in given
    if not shows:
        return _with_strings(given, "data")
    ours = _present(tag=tag, click_action=click_action or None)
    theirs = given.get("notification")
    if isinstance(theirs, dict) and "clickAction" in theirs:
        ours.pop("click_action", None)  # FCM takes both spellings, but not at once
    return _with_strings(_merged({"notification": ours}, given), "data")


def _apns(collapse_id: str, content: PushContent) -> Document:
    ours: Document = {}
    given = _with_strings(content.apns or {}, "headers", str.lower)
    ours["headers"] = {"apns-collapse-id": collapse_id}
    if content.subtitle is not None:
        alert = _present(title=content.title, subtitle=content.subtitle, body=content.message)
        ours["payload"] = {"aps": {"alert": alert}}
    return _merged(ours, given)


def _present(**values: str | None) -> Document:
    return {name: value for name, value in values.items() if value is not None}


def _merged(ours: Document, theirs: Document) -> Document:
    """Both, object by object; where both say something, it is theirs."""
    merged = {**ours, **theirs}
    for name, value in theirs.items():
        known = ours.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[name] = _merged(known, value)
    return merged


def _with_strings(
    given: Document, key: str, rename: Callable[[str], str] = lambda name: name
) -> Document:
    """The values of the object under `key` as strings: FCM takes nothing else there."""
    values = given.get(key)
    if not isinstance(values, dict):
        return given
    return {**given, key: {rename(name): _text(value) for name, value in values.items()}}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
