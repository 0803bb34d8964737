"""Twilio: an SMS is `POST …/Messages.json`, a call `POST …/Calls.json`; both are forms.

Contract: Twilio's REST API of 2010-04-01 and its dictionary of error codes (contracts 2.1). It
knows no idempotency key: what was not answered may have been sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Final, Literal, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from pydantic import AfterValidator, Field, WithJsonSchema

from carillon.http_client.ports import Headers, Reply, Request, Response, Wire
from carillon.http_client.urls import below
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Delivery,
    Document,
    JsonValue,
    Postponed,
    Refused,
    TextContent,
    Unanswered,
    Unavailable,
)
from carillon.messages.secret import Secret
from carillon.providers.config import (
    BuildContext,
    Credentials,
    DocumentedRate,
    Facts,
    HttpProviderConfig,
    Options,
    Variable,
    needed,
    of_type,
)
from carillon.providers.encoding import FORM_HEADERS, basic_authorization, form_body
from carillon.providers.one_exchange import OneExchange
from carillon.providers.ports import Exchange, Provider
from carillon.providers.responses import (
    LONGEST_PAUSE,
    answered,
    attempt,
    document,
    refused_within,
    retry_after,
)
from carillon.providers.values import SecretToken, Url, secret_token

SERVICE: Final = "twilio"
URL: Final = "https://api.twilio.com"

THROTTLED: Final = frozenset({10004, 14107, 20429, 21611, 22005, 30001, 30022, 63017, 63018})
"""Too many at once, or a queue that is full: nothing was taken, and all of it may come again."""
DAILY: Final = frozenset({30023, 30027, 63038})
"""The day's messages are used up."""
TRANSIENT: Final = frozenset({20500, 20503, 30017, 30020, 30021, 30410})
OF_ACCOUNT: Final = frozenset(
    {10001, 20003, 20005, 20006, 20010, 20151, 20404, 21212, 21213, 21603}
    | {21701, 21702, 21703, 21704, 21705, 30002}
)
"""What is wrong with credentials, account or sender: no message passes until somebody mends it."""
_OF_MESSAGE: Final = (range(21000, 22000), range(30000, 31000), range(63000, 64000))
"""Codes of numbers, texts and carriers, in which any that is not known is the message's fault."""
_CREDENTIALS: Final = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
)
_ENDED: Final = frozenset({"failed", "undelivered", "canceled"})
"""Statuses of a message or call that was taken, and will reach nobody."""

_ACCOUNT: Final = re.compile(r"AC[0-9a-fA-F]{32}")
_MESSAGING_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def account_sid(text: str) -> str:
    """The SID of an account. Raises ValueError with what is allowed, never with the text."""
    if not _ACCOUNT.fullmatch(text):
        raise ValueError("`AC` and 32 hexadecimal digits")
    return text


AccountSid: TypeAlias = Annotated[
    str,
    AfterValidator(account_sid),
    WithJsonSchema({"type": "string", "pattern": f"^{_ACCOUNT.pattern}$"}),
]


class TwilioCredentials(Credentials):
    """An account of Twilio."""

    account_sid: AccountSid = needed(
        "",
        Variable("TWILIO_ACCOUNT_SID", "the account for SMS and calls", account_sid, secret=True),
        description="The account's SID, `AC…`.",
    )
    auth_token: SecretToken = needed(
        Secret(""),
        Variable("TWILIO_AUTH_TOKEN", "its token", secret_token, secret=True),
        description="The account's token, or the secret of the API key that `apiKey` names.",
    )
    api_key: str = Field(
        default="",
        pattern=r"^(SK[0-9a-fA-F]{32})?$",
        description="The SID of an API key, `SK…`, where `authToken` is its secret.",
        repr=False,
    )


class TwilioOptions(Options):
    """From whom, and what Twilio is sent besides."""

    sender: str = Field(
        default="",
        description="From whom SMS are, in place of `sender.sms`: a number, a name, or the SID of "
        "a Messaging Service, `MG…`.",
    )
    caller: str = Field(
        default="", description="The number that calls, in place of `sender.voice`."
    )
    language: str = Field(
        default="",
        pattern=r"^([a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8}){0,3})?$",
        description="What calls are spoken in, such as `it-IT`. Empty: as Twilio has it.",
    )
    voice: str = Field(
        default="",
        pattern=r"^[a-zA-Z0-9._-]{0,100}$",
        description="Who speaks, such as `Polly.Bianca`. Empty: as Twilio has it.",
    )
    message_fields: dict[str, str] = Field(
        default_factory=dict,
        description='Further form fields of an SMS, such as `{"ValidityPeriod": "600"}`.',
        repr=False,
        json_schema_extra={"writeOnly": True},
    )
    call_fields: dict[str, str] = Field(
        default_factory=dict,
        description='Further form fields of a call, such as `{"Timeout": "30"}`.',
        repr=False,
        json_schema_extra={"writeOnly": True},
    )


class TwilioConfig(HttpProviderConfig):
    """Twilio's SMS and calls."""

    facts = Facts(
        channels=("sms", "voice"),
        documented=DocumentedRate(
            1,
            "1s",
            "unless your account may do more, Twilio sends one SMS a second from a US number and "
            "starts one call a second, and queues the rest",
        ),
    )

    type: Literal["twilio"] = of_type("twilio")
    url: Url = Field(default=URL, description="Base; `/2010-04-01/…` is added.", repr=False)
    credentials: TwilioCredentials = Field(default_factory=TwilioCredentials)
    options: TwilioOptions = Field(default_factory=TwilioOptions)

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return Twilio(self.credentials, context.wire, url=self.url, options=self.options)


class Twilio(OneExchange):
    """Orders one SMS or one call a call. `url` is the base without `/2010-04-01`.

    Accepted means that Twilio took it: whether it arrives, or anybody answers, is not known yet.
    """

    def __init__(
        self,
        credentials: TwilioCredentials,
        wire: Wire,
        *,
        url: str = URL,
        options: TwilioOptions | None = None,
    ) -> None:
        account = f"/2010-04-01/Accounts/{credentials.account_sid}"
        self._messages = below(url, f"{account}/Messages.json")
        super().__init__(wire, self._messages, SERVICE)
        self._calls = below(url, f"{account}/Calls.json")
        name = credentials.api_key or credentials.account_sid
        authorization = basic_authorization(name, credentials.auth_token.reveal())
        self._secrets = (credentials.auth_token.reveal(), authorization.removeprefix("Basic "))
        self._headers: Headers = {**FORM_HEADERS, "authorization": authorization}
        self._options = options or TwilioOptions()

    def exchange(self, delivery: Delivery) -> Exchange:
        """See `SingleExchange`."""
        url, form = self.request(delivery)
        return Exchange(Request(url, self._headers, form_body(form)), self._read)

    def _read(self, reply: Reply, delivery: Delivery) -> Attempt:
        return read(reply, delivery, self._secrets)

    def request(self, delivery: Delivery) -> tuple[str, Mapping[str, str]]:
        """Where a delivery is posted, and the fields of its form."""
        content = delivery.content
        if not isinstance(content, TextContent):
            raise TypeError("Twilio carries texts only")
        if delivery.channel == "voice":
            return self._calls, self._call(delivery, content.text)
        sender = self._options.sender or delivery.sender
        via = "MessagingServiceSid" if _MESSAGING_SERVICE.fullmatch(sender) else "From"
        ours = {"To": delivery.address, via: sender, "Body": content.text}
        return self._messages, self._options.message_fields | ours

    def _call(self, delivery: Delivery, text: str) -> Mapping[str, str]:
        options = self._options
        return options.call_fields | {
            "To": delivery.address,
            "From": options.caller or delivery.sender,
            "Twiml": spoken(text, options.language, options.voice),
        }


def spoken(text: str, language: str = "", voice: str = "") -> str:
    """TwiML that says a text; a character that XML cannot hold becomes a space."""
    named = (("language", language), ("voice", voice))
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in named if value)
    words = escape(_NOT_IN_XML.sub(" ", text))
    return f"<Response><Say{attributes}>{words}</Say></Response>"


def read(reply: Reply, delivery: Delivery, secrets: Iterable[str] = ()) -> Attempt:
    """What Twilio's answer means for a delivery; no error shows one of the `secrets`."""
    made = attempt(reply, SERVICE, delivery, _explain, _sid, secrets)
    if not isinstance(reply, Response) or isinstance(made, Unanswered | Postponed):
        return made
    body = document(reply.body)
    code = _code(body)
    if not isinstance(made, Accepted):
        return _failed(reply, made.error, code, is_transient=isinstance(made, Unavailable))
    status = body.get("status")
    if status not in _ENDED:
        return made
    error = f"{SERVICE} answered {reply.status}, and that it is {status} ({code})"
    return _failed(reply, error, code, is_transient=False)


def _failed(
    reply: Response, error: str, code: int | None, *, is_transient: bool
) -> Refused | Unavailable:
    """By Twilio's own code; where it is not known, by the status of the answer."""
    of_message = any(code in codes for codes in _OF_MESSAGE)
    cause = _cause(reply.status, code, of_message=of_message)
    if code in DAILY:
        return Unavailable(error, LONGEST_PAUSE, throttled=True, cause=cause)
    if code in THROTTLED or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Unavailable(error, retry_after(reply), throttled=True, cause=cause)
    if is_transient or code in TRANSIENT:
        return Unavailable(error, retry_after(reply), cause=cause)
    if code in OF_ACCOUNT or (reply.status in _CREDENTIALS and not of_message):
        return Unavailable(error, cause=cause)
    return Refused(error, cause=cause)


def _cause(status: int, code: int | None, *, of_message: bool) -> Cause:
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return refused_within(status, of_message=of_message)
    cause = answered(status, of_message=of_message)
    return Cause(cause.kind, status) if code in OF_ACCOUNT else cause


def _code(body: Document) -> int | None:
    """The `code` of an error, or the `error_code` of a message."""
    code = body.get("code", body.get("error_code"))
    return code if isinstance(code, int) else None


def _explain(body: Document) -> JsonValue:
    """`21211: The 'To' number … is not valid`; newer errors are those of RFC 9457."""
    said = (body.get(name) for name in ("message", "detail", "title"))
    text = next((text for text in said if isinstance(text, str)), "")
    code = _code(body)
    return text if code is None else f"{code}: {text}"


def _sid(body: Document) -> JsonValue:
    return body.get("sid")
