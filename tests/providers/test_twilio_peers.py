"""Twilio's adapter against Twilio's own OpenAPI document, served by Prism, and Twilio's own SDK."""

from __future__ import annotations

from typing import Final, cast
from xml.etree import ElementTree

import pytest

from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.ports import Body, Headers, Reply, Started
from carillon.messages.model import Accepted, Delivery, Document, Refused, Unavailable
from carillon.providers.twilio import Twilio, TwilioCredentials, TwilioOptions, spoken
from tests.docs.session import free_ports
from tests.neighbours.peers import NODE, ask, listening, with_peers
from tests.providers.deliveries import ScriptedWire, Starts, sms, voice
from tests.providers.test_twilio import ACCOUNT, CREDENTIALS, SERVICE_SID

DOCUMENT: Final = NODE / "@twilio-alpha/mcp/twilio-oai/spec/json/twilio_api_v2010.json"
TEXT: Final = 'Perché <b>"D\'Angelo"</b> & 100 % € 😀\nnext'

pytestmark = [pytest.mark.servers, with_peers]

SDK: Final = """
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from twilio.twiml.voice_response import VoiceResponse

sent = []

class Recorder(HttpClient):
    def __init__(self):
        super().__init__(None, False)

    def request(self, method, url, params=None, data=None, headers=None, auth=None, **more):
        sent.append({"method": method, "url": url, "form": data, "auth": auth})
        return Response(201, '{"sid": "x"}')

client = Client(given["account"], given["token"], http_client=Recorder())
client.messages.create(to=given["to"], from_="Shop", body=given["text"])
client.messages.create(to=given["to"], messaging_service_sid=given["service"], body=given["text"])
twiml = VoiceResponse()
twiml.say(given["text"], language="it-IT", voice="Polly.Bianca")
client.calls.create(to=given["to"], from_="+390212345678", twiml=str(twiml))
told = sent
"""


async def test_the_sdk_would_send_the_same() -> None:
    given: Document = {"account": ACCOUNT, "token": "t0ken", "to": "+393331234567"}
    theirs = cast("list[Document]", await ask(SDK, {**given, "text": TEXT, "service": SERVICE_SID}))
    options = TwilioOptions(language="it-IT", voice="Polly.Bianca")
    through = TwilioOptions(sender=SERVICE_SID)
    ours = [
        Twilio(CREDENTIALS, ScriptedWire([]), options=options).request(sms(TEXT)),
        Twilio(CREDENTIALS, ScriptedWire([]), options=through).request(sms(TEXT)),
        Twilio(CREDENTIALS, ScriptedWire([]), options=options).request(voice(TEXT)),
    ]
    for (url, form), their in zip(ours, theirs, strict=True):
        assert (their["method"], their["url"]) == ("POST", url)
        assert their["auth"] == [ACCOUNT, "t0ken"]
        assert _parsed(form) == _parsed(cast("dict[str, str]", their["form"]))


def _parsed(form: object) -> dict[str, str]:
    """A form in which two TwiML documents that say the same are the same."""
    fields = dict(cast("dict[str, str]", form))
    if "Twiml" in fields:
        fields["Twiml"] = ElementTree.canonicalize(fields["Twiml"])
    return fields


WRONG_ACCOUNT: Final = TwilioCredentials.model_construct(
    account_sid="AC1", auth_token=CREDENTIALS.auth_token, api_key=""
)


class Unaddressed(Twilio):
    """Leaves out what must be there."""

    def request(self, delivery: Delivery) -> tuple[str, dict[str, str]]:
        """All but the number."""
        url, form = super().request(delivery)
        return url, {name: value for name, value in form.items() if name != "To"}


class Unsigned(HttpxWire):
    """Leaves out who sends."""

    async def exchange(
        self, method: str, url: str, headers: Headers, body: Body, started: Started
    ) -> Reply:
        """The same without its authorization."""
        rest = {name: value for name, value in headers.items() if name != "authorization"}
        return await super().exchange(method, url, rest, body, started)


async def test_the_document_takes_what_is_sent_and_refuses_what_is_wrong(wire: HttpxWire) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    port = url.rpartition(":")[2]
    prism = [str(NODE / ".bin" / "prism"), "mock", "--errors", "-h", "127.0.0.1", "-p", port]
    async with listening(["node", *prism, str(DOCUMENT)], url):
        options = TwilioOptions.model_validate({"messageFields": {"ValidityPeriod": "600"}})
        valid = Twilio(CREDENTIALS, wire, url=url, options=options)
        through = Twilio(CREDENTIALS, wire, url=url, options=TwilioOptions(sender=SERVICE_SID))
        for adapter in (valid, through):
            assert await adapter.send(sms(TEXT), Starts()) == Accepted("SM" + "a" * 32, 201)
        assert await valid.send(voice(TEXT), Starts()) == Accepted("CA" + "a" * 32, 201)
        for delivery in (sms(), voice()):
            unaddressed = await Unaddressed(CREDENTIALS, wire, url=url).send(delivery, Starts())
            assert isinstance(unaddressed, Refused)
            assert unaddressed.error.startswith("twilio answered 422: Your request is not valid")
        wrong = TwilioOptions.model_validate({"messageFields": {"RiskCheck": "sometimes"}})
        refused = await Twilio(CREDENTIALS, wire, url=url, options=wrong).send(sms(), Starts())
        assert isinstance(refused, Refused)
        elsewhere = await Twilio(WRONG_ACCOUNT, wire, url=url).send(sms(), Starts())
        assert isinstance(elsewhere, Refused | Unavailable)
        unsigned = Twilio(CREDENTIALS, Unsigned(), url=url)
        assert await unsigned.send(sms(), Starts()) == Unavailable(
            "twilio answered 401: Your request does not fullfil the security requirements and no "
            "HTTP unauthorized response was found in the spec, so Prism is generating this error "
            "for you."
        )
        await unsigned.aclose()


def test_words_are_escaped_as_the_sdk_does() -> None:
    assert ElementTree.fromstring(spoken(TEXT))[0].text == TEXT
