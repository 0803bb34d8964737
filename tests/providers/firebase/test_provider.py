"""Firebase's adapter with its tokens, against a stand-in on a socket (contracts 2.3)."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from trio.testing import wait_all_tasks_blocked

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import Accepted, Attempt, PushContent, Refused, Unanswered, Unavailable
from carillon.providers.firebase.provider import Firebase
from carillon.providers.firebase.token import read_service_account
from tests.neighbours.fcm import Fcm, fcm_error
from tests.neighbours.http import Answer, Server, json_answer, serve
from tests.providers.deliveries import Starts, push


@dataclass
class Scene:
    """An adapter and the stand-in that it speaks to."""

    adapter: Firebase
    server: Server
    starts: Starts

    async def send(self, content: PushContent | None = None) -> Attempt:
        return await self.adapter.send(push(content), self.starts)


@asynccontextmanager
async def scene(fcm: Fcm) -> AsyncIterator[Scene]:
    wire = HttpxWire(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # certificates load slowly
    async with serve(fcm) as server:
        account = read_service_account(fcm.credentials(server.url).encode())
        yield Scene(Firebase(account, wire, url=server.url), server, Starts())
        await wire.aclose()


async def test_a_notification_is_sent_with_a_token_of_the_account() -> None:
    fcm = Fcm()
    async with scene(fcm) as at:
        assert await at.send() == Accepted("projects/shop/messages/1")
        assert await at.send() == Accepted("projects/shop/messages/2")
    assert fcm.tokens == 1
    assert fcm.messages[0]["token"] == "device-token-1"
    assert [request.path for request in at.server.requests] == [
        "/token",
        "/v1/projects/shop/messages:send",
        "/v1/projects/shop/messages:send",
    ]


async def test_getting_a_token_is_no_start() -> None:
    async with scene(Fcm()) as at:
        await at.send()
    (start,) = at.starts.times
    assert at.server.requests[0].arrived < start <= at.server.requests[1].arrived


async def test_push_data_in_fcms_shapes_is_taken_by_its_rules() -> None:
    fcm = Fcm()
    content = PushContent(
        "Order",
        "Shop",
        "It left.",
        android={"priority": "normal", "ttl": "3600s", "data": {"order": 7}},
        apns={"headers": {"apns-priority": 5}},
    )
    async with scene(fcm) as at:
        assert isinstance(await at.send(content), Accepted)
        refused = await at.send(PushContent("Order", android={"ttl": 3600}))
    assert isinstance(refused, Refused)
    assert refused.error == "firebase answered 400: Invalid value at 'message.android.ttl'"


async def test_workers_that_start_together_share_one_token() -> None:
    fcm = Fcm()
    async with scene(fcm) as at, trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(at.send)
    assert (fcm.tokens, len(fcm.messages)) == (1, 8)


async def test_a_token_is_renewed_before_it_ends() -> None:
    fcm = Fcm(lives=0)
    async with scene(fcm) as at:
        await at.send()
        await at.send()
    assert (fcm.tokens, len(fcm.messages)) == (2, 2)


async def test_a_token_that_ended_early_is_renewed_by_the_next_attempt() -> None:
    fcm = Fcm()
    async with scene(fcm) as at:
        await at.send()
        for _ in range(2):  # and so each time that it happens
            fcm.revoke()
            refused = await at.send()
            assert isinstance(refused, Unavailable)
            assert not refused.throttled
            assert isinstance(await at.send(), Accepted)
    assert fcm.tokens == 3
    assert len(at.starts.times) == 5  # each call to FCM was counted


async def test_a_renewed_token_that_is_refused_too_is_an_alarm() -> None:
    denied = fcm_error(401, "UNAUTHENTICATED")
    fcm = Fcm(denied, denied, denied)
    async with scene(fcm) as at:
        assert isinstance(await at.send(), Unavailable)
        for _ in range(2):
            refused = await at.send()
            assert isinstance(refused, Refused)
            assert "`client_email`" in refused.error
        assert isinstance(await at.send(), Accepted)
    assert fcm.tokens == 2


@pytest.mark.parametrize(
    ("answer", "attempt"),
    [
        (
            fcm_error(404, "NOT_FOUND", "UNREGISTERED"),
            Refused(
                "firebase: the device token is no longer registered: remove it from the user "
                "(UNREGISTERED)"
            ),
        ),
        (
            fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
            Refused("firebase answered 400: about INVALID_ARGUMENT"),
        ),
        (
            fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
            Refused(
                "firebase: the device token belongs to another Firebase project "
                "(SENDER_ID_MISMATCH)"
            ),
        ),
        (
            fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
            Refused(
                "firebase: Apple's or the web push key of the Firebase project is not valid "
                "(THIRD_PARTY_AUTH_ERROR)"
            ),
        ),
        (
            fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="7"),
            Unavailable("firebase answered 429: about RESOURCE_EXHAUSTED", 7.0, throttled=True),
        ),
        (
            fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
            Unavailable("firebase answered 429: about RESOURCE_EXHAUSTED", 60.0, throttled=True),
        ),
        (
            fcm_error(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="3"),
            Unavailable("firebase answered 503: about UNAVAILABLE", 3.0),
        ),
        (
            fcm_error(500, "INTERNAL", "INTERNAL"),
            Unavailable("firebase answered 500: about INTERNAL"),
        ),
        (
            fcm_error(400, "FAILED_PRECONDITION", "UNAVAILABLE"),
            Unavailable("firebase answered 400: about FAILED_PRECONDITION"),
        ),
        (fcm_error(404, "NOT_FOUND"), Refused("firebase answered 404: about NOT_FOUND")),
        (Answer(502, b"<html>"), Unavailable("firebase answered 502")),
        (
            fcm_error(504, "DEADLINE_EXCEEDED"),
            Unanswered("firebase answered 504: about DEADLINE_EXCEEDED"),
        ),
        (Answer(fault="disconnect"), Unanswered("firebase: no answer: server disconnected")),
    ],
)
async def test_each_error_means_what_the_contract_says(answer: Answer, attempt: Attempt) -> None:
    async with scene(Fcm(answer)) as at:
        assert await at.send() == attempt


async def test_a_third_party_error_does_not_cost_the_token() -> None:
    fcm = Fcm(fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"))
    async with scene(fcm) as at:
        await at.send()
        assert isinstance(await at.send(), Accepted)
    assert fcm.tokens == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(503), "Google answered 503"),
        (Answer(429), "Google answered 429"),
        (Answer(fault="disconnect"), "no answer: server disconnected"),
        (Answer(200, b"<html>"), "Google's answer holds none"),
        (json_answer({"access_token": "a\r\nb"}), "Google's answer holds none"),
    ],
)
async def test_without_a_token_nothing_is_sent_and_a_later_attempt_may(
    answer: Answer, error: str
) -> None:
    fcm = Fcm()
    fcm.token_answers.append(answer)
    async with scene(fcm) as at:
        assert await at.send() == Unavailable(f"firebase: no access token: {error}")
        assert at.starts.times == []
        assert isinstance(await at.send(), Accepted)


async def test_a_refused_account_names_the_keys_of_its_file_and_not_their_values() -> None:
    fcm = Fcm()
    said = {"error": "invalid_grant", "error_description": "push@shop.iam.example.com unknown"}
    fcm.token_answers.append(json_answer(dict(said), 400))
    async with scene(fcm) as at:
        refused = await at.send()
    assert isinstance(refused, Refused)
    assert "(400, invalid_grant)" in refused.error
    assert "`private_key`" in refused.error
    assert "example.com" not in refused.error


async def test_a_failed_fetch_is_shared_by_all_who_waited_for_it() -> None:
    fcm = Fcm()
    fcm.token_answers.append(Answer(503, delay=0.03))
    attempts: list[Attempt] = []
    async with scene(fcm) as at:

        async def send() -> None:
            attempts.append(await at.send())

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(send)
    assert attempts == [Unavailable("firebase: no access token: Google answered 503")] * 5
    assert len(at.server.requests) == 1


async def test_a_worker_that_gives_up_leaves_the_fetch_to_the_next() -> None:
    fcm = Fcm()
    fcm.token_answers.append(Answer(fault="hang"))
    attempts: list[Attempt] = []
    async with scene(fcm) as at:

        async def impatient(scope: trio.CancelScope) -> None:
            with scope:
                attempts.append(await at.send())

        async def patient() -> None:
            attempts.append(await at.send())

        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            nursery.start_soon(impatient, scope)
            await at.server.until(1)
            nursery.start_soon(patient)
            await wait_all_tasks_blocked()
            scope.cancel()
    assert attempts == [Accepted("projects/shop/messages/1")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("[]", "`project_id`"),
        ('{"project_id": "p"}', "`client_email`"),
        ('{"project_id": "p", "client_email": "e", "private_key": 7}', "`private_key`"),
        ('{"project_id": ""}', "`project_id`"),
        ('{"type": "authorized_user"}', "`type` in the credentials file must be `service_account`"),
        ("-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n", "is a PEM and not"),
        ("-----BEGIN RSA PRIVATE KEY-----", "the JSON file that Google gives"),
        ("\x30\x82\x00\xff", "is not JSON"),
        ('{"project_id": "p", "project_id": "s3cret"}', "`project_id` stands twice in the creden"),
    ],
)
def test_a_credentials_file_that_is_none_is_told_why(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        read_service_account(text.encode("latin-1"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["s3cret", "-----BEGIN PRIVATE KEY-----\ns3cret", "EC", "public"])
def test_a_private_key_that_is_none_is_told_without_showing_it(key: str) -> None:
    content = json.loads(Fcm().credentials("http://google.example"))
    content["private_key"] = {"EC": ec_key(), "public": public_key()}.get(key, key)
    with pytest.raises(ValueError, match="`private_key` in the credentials file is not an RSA"):
        read_service_account(json.dumps(content).encode())


@pytest.mark.parametrize("uri", ["ftp://x", "oauth2.googleapis.com", "https://u:p@x/token", "x y"])
def test_an_address_for_tokens_that_is_none_is_told(uri: str) -> None:
    content = json.loads(Fcm().credentials("http://google.example"))
    content["token_uri"] = uri
    with pytest.raises(ValueError, match="`token_uri`") as caught:
        read_service_account(json.dumps(content).encode())
    assert uri not in str(caught.value)


def ec_key() -> str:
    return in_pem(ec.generate_private_key(ec.SECP256R1()))


def public_key() -> str:
    public = generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def in_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
