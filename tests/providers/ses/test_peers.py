"""SES against what others wrote: AWS's own signer, and two servers that speak its API v2."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import httpx
import pytest

from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.ports import Headers
from carillon.messages.model import (
    Accepted,
    Attachment,
    Delivery,
    Document,
    EmailContent,
    JsonValue,
    MailExtras,
    Refused,
)
from carillon.providers.mail.message import mail_of
from carillon.providers.ports import ProposedRates
from carillon.providers.ses.credentials import FixedKeys
from carillon.providers.ses.provider import Ses, SesOptions
from carillon.providers.ses.signature import AwsKeys, Unsigned, signed
from tests.docs.session import free_ports
from tests.neighbours.http import json_answer, serve
from tests.neighbours.peers import NODE, PEERS, ask, listening, with_peers
from tests.providers.deliveries import Starts, delivery
from tests.providers.mail.readers import ReadMail, by_python

NOW: Final = datetime(2026, 11, 29, 11, 30, tzinfo=UTC)
HTML: Final = '<p>Perché <b>no</b>? 😀</p><img src="cid:logo.png">'
FILES: Final = [
    Attachment("fattura è.pdf", bytes(range(256)) * 300, "application/pdf"),
    Attachment("logo.png", b"\x89PNG\r\n", "image/png"),
]
SHOWN: Final = "data:image/png;base64,iVBORw0K"
"""The image in its place, which only a reader that finds it by its content id can put there."""
COPIES: Final = MailExtras(["anna@example.org"], ["boss@example.org"], FILES)
MAIL: Final = delivery("email", EmailContent("Ordine n° 7", html=HTML), mail=COPIES)

pytestmark = [pytest.mark.servers, with_peers]

SIGNER: Final = """
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from datetime import datetime

told = []
for one in given:
    botocore.auth.get_current_datetime = lambda: datetime.fromisoformat(one["now"])
    keys = Credentials(one["accessKey"], one["secret"], one["token"] or None)
    headers = {k: v for k, v in one["headers"].items() if k in one["covered"]}
    request = AWSRequest(one["method"], one["url"], headers, one["body"].encode())
    botocore.auth.SigV4Auth(keys, "ses", one["region"]).add_auth(request)
    told.append(request.headers["Authorization"])
"""


def case(method: str, url: str, body: str, keys: AwsKeys, headers: Headers) -> Document:
    """A request for both signers."""
    named: Document = {**headers}
    return {
        "method": method,
        "url": url,
        "body": body,
        "accessKey": keys.access_key,
        "secret": keys.secret,
        "token": keys.token,
        "headers": named,
        "covered": [*named],
        "region": "eu-west-1",
        "now": NOW.replace(tzinfo=None).isoformat(),
    }


def cases() -> Iterator[tuple[Document, str]]:
    """Requests of all kinds, each with what we sign it with."""
    urls = [
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "https://email.eu-west-1.amazonaws.com:443/v2/email/account",
        "http://127.0.0.1:8005/a%20b/~c/v2/email/outbound-emails?z=2&a=1&a=0&empty=&k%2Fx=%C3%A8",
        "http://[::1]:8005",
        "https://PROXY.example:8443/?b",
    ]
    keys = [
        AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        AwsKeys("A", "s", "t/+="),
    ]
    for method, body in (("GET", ""), ("POST", '{"a": "perché"}')):
        for url in urls:
            for one in keys:
                headers = {"content-type": "application/json", "x-odd": "  a   b "} if body else {}
                request = Unsigned(method, url, headers, sha256(body.encode()).hexdigest())
                ours = signed(request, one, "eu-west-1", "ses", NOW)
                yield case(method, url, body, one, headers), ours["authorization"]


async def test_our_signature_is_that_of_awss_own_signer() -> None:
    pairs = [*cases()]
    theirs = await ask(SIGNER, [given for given, _ in pairs])
    assert theirs == [ours for _, ours in pairs]


async def test_what_arrives_is_what_was_signed(wire: HttpxWire) -> None:
    keys = AwsKeys("AKIDEXAMPLE", "secret", "token")
    async with serve(json_answer({"MessageId": "1"})) as server:
        adapter = Ses(server.url, "eu-west-1", FixedKeys(keys), wire, now=lambda: NOW)
        await adapter.send(MAIL, Starts())
        await adapter.proposed_rates()
    given: list[JsonValue] = []
    for request in server.requests:
        covered = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        url = f"http://{request.headers['host']}{request.target}"
        headers = {name: request.headers[name] for name in covered.split(";")}
        given.append(case(request.method, url, request.body.decode(), keys, headers))
    theirs = await ask(SIGNER, given)
    assert theirs == [request.headers["authorization"] for request in server.requests]


def whole(given: Delivery) -> ReadMail:
    """What is read in the mail as it was made."""
    return by_python(mail_of(given, NOW).whole())


@asynccontextmanager
async def moto() -> AsyncGenerator[str]:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    program = str(PEERS / "bin" / "moto_server")
    async with listening([program, "-H", "127.0.0.1", "-p", url.rpartition(":")[2]], url):
        yield url


async def test_moto_gets_the_mail_part_by_part(wire: HttpxWire) -> None:
    async with moto() as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        keys = FixedKeys(AwsKeys("AKID", "secret"))
        adapter = Ses(url, "eu-west-1", keys, wire, now=lambda: NOW)
        unverified = await adapter.send(MAIL, Starts())
        assert isinstance(unverified, Refused)
        assert "Did not have authority to send from email [address]" in unverified.error
        of_ses = {
            "authorization": "AWS4-HMAC-SHA256 Credential=AKID/20261129/eu-west-1/ses/aws4_request"
        }
        wanted = {"Action": "VerifyEmailIdentity", "EmailAddress": "shop@example.com"}
        assert (await client.post("/", data=wanted, headers=of_ses)).status_code == 200
        sent = await adapter.send(MAIL, Starts())
        [kept] = (await client.get("/moto-api/data.json")).json()["ses"]["RawMessage"]
    assert sent == Accepted(kept["id"], 200)
    assert {*kept["destinations"]} == {
        "mario.rossi@example.com",
        "anna@example.org",
        "boss@example.org",
    }
    assert by_python(kept["raw_data"].encode()) == whole(MAIL)


ACCOUNT: Final[Document] = {
    "DedicatedIpAutoWarmupEnabled": False,
    "Details": {
        "AdditionalContactEmailAddresses": [],
        "ContactLanguage": "EN",
        "MailType": "TRANSACTIONAL",
        "ReviewDetails": {"CaseId": "1", "Status": "GRANTED"},
        "UseCaseDescription": "orders",
        "WebsiteURL": "https://shop.example",
    },
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": True,
    "SendingEnabled": True,
    "SendQuota": {"Max24HourSend": 50000, "MaxSendRate": 14, "SentLast24Hours": 0},
    "SuppressionAttributes": {"SuppressedReasons": []},
}


async def test_a_local_ses_shows_the_mail_and_tells_the_quota(wire: HttpxWire) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    program = str(NODE / "aws-ses-v2-local" / "dist" / "cli.js")
    words = ["env", f"AWS_SES_ACCOUNT={json.dumps(ACCOUNT)}", "node", program]
    words += ["--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    async with listening(words, url), httpx.AsyncClient(base_url=url, trust_env=False) as client:
        keys = FixedKeys(AwsKeys("AKID", "secret"))
        options = SesOptions.model_validate({"configurationSet": "events"})
        adapter = Ses(url, "eu-west-1", keys, wire, options=options, now=lambda: NOW)
        sent = await adapter.send(MAIL, Starts())
        proposed = await adapter.proposed_rates()
        [shown] = (await client.get("/store")).json()["emails"]
    assert isinstance(sent, Accepted)
    assert sent.message_id == shown["messageId"]
    assert proposed == ProposedRates([(14, 1.0), (50000, 86400.0)])
    ours = whole(MAIL)
    assert shown["from"] == "shop@example.com"
    assert shown["subject"] == ours.subject
    assert shown["body"]["html"].strip() == HTML.replace("cid:logo.png", SHOWN)
    assert shown["body"]["text"].strip() == (ours.text or "").strip()
    read = {one["filename"]: b64decode(one["content"]) for one in shown["attachments"]}
    assert read == {one.name: one.content for one in FILES}
    assert shown["destination"]["to"] == ["mario.rossi@example.com"]
    assert shown["destination"]["cc"] == ["anna@example.org"]
