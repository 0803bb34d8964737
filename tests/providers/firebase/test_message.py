"""How a notification becomes FCM's JSON (contracts 2.3)."""

from __future__ import annotations

import pytest

from carillon.messages.model import Document, PushContent
from carillon.providers.firebase.message import fcm_message
from tests.providers.deliveries import push

ID = "d" * 32
COLLAPSE: Document = {"headers": {"apns-collapse-id": ID}}


def message(content: PushContent, click_action: str = "") -> Document:
    body = fcm_message(push(), content, click_action)
    inner = body["message"]
    assert isinstance(inner, dict)
    return inner


def test_title_and_message_are_the_notification() -> None:
    assert message(PushContent("Order", None, "It left.")) == {
        "token": "device-token-1",
        "notification": {"title": "Order", "body": "It left."},
        "android": {"notification": {"tag": ID}},
        "apns": COLLAPSE,
    }


def test_a_subtitle_is_apples_with_title_and_body() -> None:
    apns = message(PushContent("Order", "Shop", "It left."))["apns"]
    alert: Document = {"title": "Order", "subtitle": "Shop", "body": "It left."}
    assert apns == {**COLLAPSE, "payload": {"aps": {"alert": alert}}}


def test_the_click_action_is_androids_when_it_is_not_empty() -> None:
    android = message(PushContent("Order"), "OPEN_ORDER")["android"]
    assert android == {"notification": {"tag": ID, "click_action": "OPEN_ORDER"}}


def test_push_data_is_merged_and_never_replaced() -> None:
    content = PushContent(
        "Order",
        "Shop",
        "It left.",
        android={
            "priority": "normal",
            "notification": {"tag": "order-7", "click_action": "MINE", "color": "#ff0000"},
        },
        apns={
            "headers": {"apns-priority": 5, "APNS-Collapse-ID": "order-7"},
            "payload": {"aps": {"badge": 1, "alert": {"body": "Gone."}}},
        },
    )
    made = message(content, "OPEN_ORDER")
    assert made["android"] == content.android
    assert made["apns"] == {
        "headers": {"apns-priority": "5", "apns-collapse-id": "order-7"},
        "payload": {
            "aps": {"badge": 1, "alert": {"title": "Order", "subtitle": "Shop", "body": "Gone."}}
        },
    }


def test_the_other_spelling_of_the_click_action_wins_too() -> None:
    content = PushContent("Order", android={"notification": {"clickAction": "MINE"}})
    android = message(content, "OPEN_ORDER")["android"]
    assert android == {"notification": {"tag": ID, "clickAction": "MINE"}}


def test_a_data_message_stays_one() -> None:
    content = PushContent(android={"data": {"order": 7, "open": True, "name": "x"}})
    assert message(content, "OPEN_ORDER") == {
        "token": "device-token-1",
        "android": {"data": {"order": "7", "open": "true", "name": "x"}},
        "apns": COLLAPSE,
    }


@pytest.mark.parametrize("odd", ["text", 7, None, ["x"], True])
def test_odd_shapes_pass_through_for_fcm_to_refuse(odd: str) -> None:
    content = PushContent(
        "Order", "Shop", android={"notification": odd}, apns={"headers": odd, "payload": odd}
    )
    made = message(content, "OPEN_ORDER")
    assert made["android"] == {"notification": odd}
    assert made["apns"] == {"headers": odd, "payload": odd}


def test_there_is_never_a_collapse_key_of_ours() -> None:
    assert "collapse" not in str(message(PushContent("Order"))["android"])
