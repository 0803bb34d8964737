"""The adapter of SES: what it sends, with whose keys, and which limits it proposes."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, cast

import pytest

from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.ports import NotSent, Response
from carillon.messages.model import (
    Accepted,
    Attachment,
    Delivery,
    Document,
    MailExtras,
    Refused,
    Unavailable,
)
from carillon.providers.mail.headers import NotMailable
from carillon.providers.ports import ProposedRates
from carillon.providers.ses.credentials import FixedKeys, NoKeys
from carillon.providers.ses.provider import MOST_RECIPIENTS, Ses, SesOptions
from carillon.providers.ses.signature import AwsKeys
from tests.neighbours.http import Answer, json_answer, serve
from tests.providers.deliveries import ScriptedWire, Starts, email, sms
from tests.providers.mail.readers import parsed

NOW: Final = datetime(2026, 11, 29, 11, 30, tzinfo=UTC)
KEYS: Final = FixedKeys(AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI"))
TAKEN: Final = json_answer({"MessageId": "0102-ab"})


def ses(url: str, wire: HttpxWire | ScriptedWire, **options: object) -> Ses:
    keys = SesOptions.model_validate(options)
    return Ses(url, "eu-west-1", KEYS, wire, options=keys, now=lambda: NOW)


def body_of(delivery: Delivery, **options: object) -> Document:
    parts, digest = ses("http://ses", ScriptedWire([]), **options).request(delivery)
    whole = b"".join(parts)
    assert digest == sha256(whole).hexdigest()
    return cast("Document", json.loads(whole))


def raw(body: Document) -> bytes:
    content = cast("dict[str, dict[str, str]]", body["Content"])
    return b64decode(content["Raw"]["Data"])


async def test_a_mail_is_one_call_with_a_whole_message_in_it(wire: HttpxWire) -> None:
    starts = Starts()
    async with serve(TAKEN) as server:
        sent = await ses(server.url, wire).send(email("Perché no?"), starts)
    [request] = server.requests
    body = cast("Document", request.json())
    assert sent == Accepted("0102-ab", 200)
    assert (request.method, request.path) == ("POST", "/v2/email/outbound-emails")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-amz-date"] == "20261129T113000Z"
    assert request.headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261129/eu-west-1/ses/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, Signature="
    )
    assert body.keys() == {"FromEmailAddress", "Destination", "Content"}
    assert body["FromEmailAddress"] == "shop@example.com"
    assert body["Destination"] == {"ToAddresses": ["mario.rossi@example.com"]}
    mail = parsed(raw(body))
    assert mail["Subject"] == "Order 7"
    assert mail["Message-ID"] == f"<{'d' * 32}@example.com>"
    assert mail.get_content().strip() == "Perché no?"
    assert len(starts.times) == 1


def test_copies_get_it_and_blind_ones_are_not_named_in_it() -> None:
    extras = MailExtras(["a@x.it"], ["b@x.it"], [Attachment("è.pdf", b"%PDF", "application/pdf")])
    body = body_of(email(mail=extras))
    assert body["Destination"] == {
        "ToAddresses": ["mario.rossi@example.com"],
        "BccAddresses": ["a@x.it", "b@x.it"],
    }
    mail = parsed(raw(body))
    assert mail["Cc"] == "a@x.it"
    assert b"b@x.it" not in raw(body)
    [file] = mail.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("è.pdf", b"%PDF")


def test_a_configuration_set_gets_our_id_as_a_tag() -> None:
    body = body_of(email(), configurationSet="events")
    assert body["ConfigurationSetName"] == "events"
    assert body["EmailTags"] == [{"Name": "deliveryId", "Value": "d" * 32}]


def test_readers_may_leave_the_list() -> None:
    body = body_of(email(), listUnsubscribe="https://shop.example/u/{deliveryId}")
    mail = parsed(raw(body))
    assert mail["List-Unsubscribe"] == f"<https://shop.example/u/{'d' * 32}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


MANY: Final = [f"u{number}@x.it" for number in range(MOST_RECIPIENTS)]
LARGE: Final = Attachment("a.bin", bytes(15_000_000))


@pytest.mark.parametrize(
    ("delivery", "why"),
    [
        (email(address="mariò@example.com"), "a local part that is not ASCII"),
        (email(mail=MailExtras([], MANY)), "more than 50 recipients"),
        (email(mail=MailExtras([], [], [LARGE, LARGE])), "larger than the 40 MB"),
    ],
    ids=["international", "many", "large"],
)
async def test_what_ses_never_takes_is_refused_without_a_call(delivery: Delivery, why: str) -> None:
    wire = ScriptedWire([Response(200, {}, b"{}")])
    found = await ses("http://ses", wire).send(delivery, Starts())
    assert isinstance(found, Refused)
    assert found.error.startswith("ses: ")
    assert why in found.error
    assert wire.urls == []


def test_a_domain_that_is_not_ascii_is_written_so_that_it_is() -> None:
    body = body_of(email(address="info@perché.example"))
    assert body["Destination"] == {"ToAddresses": ["info@xn--perch-fsa.example"]}


async def test_only_mails_go_over_it() -> None:
    with pytest.raises(TypeError):
        await ses("http://ses", ScriptedWire([])).send(sms(), Starts())
    with pytest.raises(NotMailable):
        ses("http://ses", ScriptedWire([])).request(email(address="nobody"))


class Rotating:
    """Keys of which each is used up once it is refused."""

    def __init__(self, *keys: AwsKeys | NoKeys) -> None:
        self.left = [*keys]

    async def get(self) -> AwsKeys | NoKeys:
        return self.left[0]

    def refuse(self, keys: AwsKeys) -> None:
        assert self.left.pop(0) is keys


async def test_keys_that_are_refused_are_replaced_before_the_next_attempt(wire: HttpxWire) -> None:
    old, new = AwsKeys("AKIDOLD", "s", "token"), AwsKeys("AKIDNEW", "s")
    expired = json_answer({"message": "expired"}, 403, x_amzn_errortype="ExpiredTokenException")
    answers: Sequence[Answer] = [expired, TAKEN]

    async def handler(_: object) -> Answer:
        return answers[len(server.requests) - 1]

    async with serve(handler) as server:
        adapter = Ses(server.url, "eu-west-1", Rotating(old, new), wire)
        first = await adapter.send(email(), Starts())
        second = await adapter.send(email(), Starts())
    assert first == Unavailable("ses answered 403: expired")
    assert isinstance(second, Accepted)
    assert server.requests[0].headers["x-amz-security-token"] == "token"
    assert "AKIDOLD" in server.requests[0].headers["authorization"]
    assert "AKIDNEW" in server.requests[1].headers["authorization"]
    assert "x-amz-security-token" not in server.requests[1].headers


async def test_without_keys_nothing_is_called() -> None:
    wire = ScriptedWire([Response(200, {}, b"{}")])
    starts = Starts()
    adapter = Ses("http://ses", "eu-west-1", Rotating(Unavailable("ses: no credentials")), wire)
    assert await adapter.send(email(), starts) == Unavailable("ses: no credentials")
    assert await adapter.proposed_rates() == ProposedRates(why="ses: no credentials")
    assert (wire.urls, starts.times) == ([], [])


QUOTA: Final = {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 1.0}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            Response(200, {}, json.dumps({"SendQuota": QUOTA}).encode()),
            ProposedRates([(14, 1.0), (50000, 86400.0)]),
        ),
        (
            Response(200, {}, b'{"SendQuota": {"Max24HourSend": -1, "MaxSendRate": 200.5}}'),
            ProposedRates([(200, 1.0)]),
        ),
        (Response(200, {}, b"{}"), ProposedRates(why="ses told no quota")),
        (
            Response(403, {"x-amzn-errortype": "AccessDeniedException"}, b"{}"),
            ProposedRates(why="ses answered 403 AccessDeniedException"),
        ),
        (NotSent("no route"), ProposedRates(why="ses: no route")),
    ],
    ids=["both", "unlimited", "none", "denied", "down"],
)
async def test_the_account_proposes_the_limits(
    reply: Response | NotSent, expected: ProposedRates
) -> None:
    wire = ScriptedWire([reply])
    assert await ses("http://ses", wire).proposed_rates() == expected
    assert wire.urls == ["http://ses/v2/email/account"]
