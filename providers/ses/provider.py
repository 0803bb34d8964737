"""Amazon SES over its API v2: one `SendEmail` a mail, which is made here and sent as it is.

Contract: the SES API v2 (contracts 2.4). It knows no idempotency key: a call that was not answered
may have sent its mail. Limits count recipients, and SES keeps nothing of what is above them.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field

from carillon.http_client.ports import Headers, Response, Started, Wire, no_start
from carillon.http_client.urls import below, endpoint_url
from carillon.messages.model import (
    Attempt,
    Delivery,
    Document,
    EmailContent,
    Refused,
)
from carillon.messages.offload import Offload
from carillon.messages.secret import Secret
from carillon.providers.config import (
    BuildContext,
    Credentials,
    DocumentedRate,
    Facts,
    HttpProviderConfig,
    ReadFile,
    Variable,
    needed,
    of_type,
    optional,
)
from carillon.providers.encoding import JSON_HEADERS, json_body
from carillon.providers.mail.headers import NotMailable
from carillon.providers.mail.message import Mail, mail_of
from carillon.providers.mail.options import MailOptions, unsubscribe_url
from carillon.providers.ports import ProposedRates, Provider
from carillon.providers.responses import document, unreached
from carillon.providers.ses.answers import SERVICE, exception, is_of_keys, read
from carillon.providers.ses.credentials import (
    ContainerKeys,
    FileKeys,
    FixedKeys,
    KeySource,
    keys_in,
    token_in,
    utc_now,
)
from carillon.providers.ses.signature import AwsKeys, Unsigned, signed
from carillon.providers.values import FilePath, SecretToken, Text, Token, Url, secret_token, token

PATH: Final = "/v2/email/outbound-emails"
ACCOUNT: Final = "/v2/email/account"
LARGEST: Final = 40_000_000
"""Bytes of a mail in base64 that SES takes."""
MOST_RECIPIENTS: Final = 50
_LONG: Final = 32_768
"""Bytes of bodies and attachments from which a request is made in a thread."""
_DAY: Final = 86_400.0
_AGENT: Final = "http://169.254.170.2"
"""Where the agent of ECS is, for a path that is given alone."""
_NO_HASH: Final = sha256(b"").hexdigest()


_LONGEST_REGION: Final = 40


def region(text: str) -> str:
    """A region of AWS. Raises ValueError with what is allowed."""
    if len(text) > _LONGEST_REGION or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", text):
        raise ValueError("a region such as `eu-west-1`")
    return text


def agent_url(path: str) -> str:
    """Where the agent of ECS answers. Raises ValueError with what is allowed."""
    if not path.startswith("/"):
        raise ValueError("a path that begins with a slash")
    return endpoint_url(_AGENT + path)


Region: TypeAlias = Annotated[str, AfterValidator(region)]


class SesCredentials(Credentials):
    """Who signs: keys, or where they are."""

    access_key_id: Token = optional(
        "",
        Variable("AWS_ACCESS_KEY_ID", "the access key that signs for SES", token, secret=True),
        description="The access key.",
    )
    secret_access_key: SecretToken = optional(
        Secret(""),
        Variable("AWS_SECRET_ACCESS_KEY", "its secret", secret_token, secret=True, activates=False),
        description="Its secret.",
    )
    session_token: SecretToken = optional(
        Secret(""),
        Variable(
            "AWS_SESSION_TOKEN", "of a temporary key", secret_token, secret=True, activates=False
        ),
        description="The token of a temporary key.",
    )
    file: FilePath | None = optional(
        None,
        Variable(
            "AWS_SHARED_CREDENTIALS_FILE", "a file with profiles of AWS", Path, activates=False
        ),
        description="A file with profiles, as AWS's own programs have in `~/.aws/credentials`.",
    )
    profile: Text = optional(
        "default",
        Variable("AWS_PROFILE", "the profile in that file", str, activates=False),
        description="The profile in `file`.",
    )
    container_url: Url = optional(
        "",
        Variable(
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "set by ECS", agent_url, activates=False
        ),
        Variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", "set by EKS", endpoint_url, activates=False),
        description="The agent of a container that gives keys.",
    )
    container_token: SecretToken = optional(
        Secret(""),
        Variable(
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "what the agent wants to see",
            secret_token,
            secret=True,
            activates=False,
        ),
        description="What the agent wants to see.",
    )
    container_token_file: FilePath | None = optional(
        None,
        Variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "a file with it", Path, activates=False),
        description="A file with it, read each time.",
    )


class SesOptions(MailOptions):
    """What is special about SES."""

    configuration_set: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]{0,64}$",
        description="The configuration set of every mail; its events have our delivery id as the "
        "tag `deliveryId`.",
    )


class SesConfig(HttpProviderConfig):
    """Amazon SES, API v2."""

    facts = Facts(
        channels=("email",),
        both_bodies=True,
        documented=DocumentedRate(
            1,
            "1s",
            "SES takes 1 recipient a second and 200 a day of an account in its sandbox; the start "
            "logs what yours may send",
        ),
    )

    type: Literal["ses"] = of_type("ses")
    region: Region = needed(
        "",
        Variable("AWS_DEFAULT_REGION", "the region of SES", region, activates=False),
        Variable("AWS_REGION", "the same; wins", region, activates=False),
        description="The region of AWS.",
    )
    url: Url = Field(
        default="",
        validate_default=False,
        description="Base; `/v2/email/…` is added. Empty: SES in `region`.",
        repr=False,
    )
    credentials: SesCredentials = Field(default_factory=SesCredentials)
    options: SesOptions = Field(default_factory=SesOptions)

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return Ses(
            self.endpoint,
            self.region,
            self._source(context.read, context.wire),
            context.wire,
            options=self.options,
            offload=context.offload,
        )

    @property
    def endpoint(self) -> str:
        """Whom to call."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return self.url or f"https://email.{self.region}.amazonaws.com{suffix}"

    def check(self, read: ReadFile) -> None:
        """See that there are keys, or a place to get them from."""
        keys = self.credentials
        if keys.access_key_id or keys.secret_access_key.reveal():
            for name, value in (
                ("accessKeyId", keys.access_key_id),
                ("secretAccessKey", keys.secret_access_key.reveal()),
            ):
                if not value:
                    raise ValueError(f"credentials.{name}: is missing; the other one needs it")
        elif keys.file is not None:
            try:
                keys_in(read, keys.file, keys.profile)
            except ValueError as error:
                raise ValueError(f"credentials.file {error}") from None
        elif not keys.container_url:
            raise ValueError(
                "credentials: are missing; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "AWS_SHARED_CREDENTIALS_FILE or AWS_CONTAINER_CREDENTIALS_FULL_URI"
            )

    def addresses(self, read: ReadFile) -> Mapping[str, str]:
        """SES itself, and the container's agent where that is asked."""
        found = {"url": self.endpoint}
        keys = self.credentials
        if keys.container_url and not keys.access_key_id and keys.file is None:
            found["credentials.containerUrl"] = keys.container_url
        return found

    def _source(self, read: ReadFile, wire: Wire) -> KeySource:
        """Raises ValueError."""
        self.check(read)
        keys = self.credentials
        if keys.access_key_id:
            secret, token = keys.secret_access_key.reveal(), keys.session_token.reveal()
            return FixedKeys(AwsKeys(keys.access_key_id, secret, token))
        if keys.file is not None:
            return FileKeys(read, keys.file, keys.profile)
        file = keys.container_token_file
        if file is None:
            return ContainerKeys(keys.container_url, keys.container_token.reveal, wire)
        return ContainerKeys(keys.container_url, partial(token_in, read, file), wire)


class Ses:
    """Sends one mail a call. `url` is the base without `/v2`.

    The limits of SES count recipients: a mail with copies is more than one of them.
    """

    def __init__(
        self,
        url: str,
        region: str,
        keys: KeySource,
        wire: Wire,
        *,
        options: SesOptions | None = None,
        offload: Offload | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._url = below(url, PATH)
        self._account = below(url, ACCOUNT)
        self._region = region
        self._keys = keys
        self._wire = wire
        self._options = options or SesOptions()
        self._offload = offload or Offload()
        self._now = now

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        """Hand one mail over, after keys were had, which is not counted as a start."""
        make = partial(self.request, delivery)
        try:
            body, digest = await self._offload.run_if(_is_long(delivery), make)
        except NotMailable as error:
            return Refused(f"{SERVICE}: {error}")
        keys = await self._keys.get()
        if not isinstance(keys, AwsKeys):
            return keys
        headers = self._signed("POST", self._url, JSON_HEADERS, digest, keys)
        reply = await self._wire.exchange("POST", self._url, headers, body, started)
        if isinstance(reply, Response) and is_of_keys(reply):
            self._keys.refuse(keys)
        return read(reply, delivery, (keys.access_key, keys.secret, keys.token))

    def request(self, delivery: Delivery) -> tuple[Sequence[bytes], str]:
        """The body of a call in segments, and the hash of it. Raises NotMailable.

        Takes time in proportion to bodies and attachments.
        """
        url = unsubscribe_url(self._options.list_unsubscribe, delivery.id)
        mail = mail_of(delivery, self._now(), url)
        if mail.is_international:
            raise NotMailable("an address has a local part that is not ASCII; SES carries none")
        if len(mail.recipients) > MOST_RECIPIENTS:
            raise NotMailable(f"it has more than {MOST_RECIPIENTS} recipients")
        if mail.size * 4 // 3 > LARGEST:
            raise NotMailable("it is larger than the 40 MB that SES takes")
        head = json_body(self._fields(delivery, mail))[:-1] + b',"Content":{"Raw":{"Data":"'
        body = [head, b2a_base64(mail.whole(), newline=False), b'"}}}']
        digest = sha256()
        for part in body:
            digest.update(part)
        return body, digest.hexdigest()

    def _fields(self, delivery: Delivery, mail: Mail) -> Document:
        """All but the mail; its headers say who is named in it, `Destination` who gets it."""
        first, *others = mail.recipients
        destination: Document = {"ToAddresses": [first]}
        if others:
            destination["BccAddresses"] = [*others]
        fields: Document = {"FromEmailAddress": mail.sender, "Destination": destination}
        if self._options.configuration_set:
            fields["ConfigurationSetName"] = self._options.configuration_set
            fields["EmailTags"] = [{"Name": "deliveryId", "Value": delivery.id}]
        return fields

    def _signed(
        self, method: str, url: str, headers: Headers, digest: str, keys: AwsKeys
    ) -> Headers:
        request = Unsigned(method, url, headers, digest)
        return signed(request, keys, self._region, SERVICE, self._now())

    def serialize_by(self, delivery: Delivery) -> str | None:
        """Any deliveries may be under way at once."""
        return None

    async def reach(self) -> str | None:
        """See `Reachable`."""
        return unreached(await self._wire.reach(self._url), SERVICE)

    async def proposed_rates(self) -> ProposedRates:
        """See `Proposing`: what `GetAccount` tells."""
        keys = await self._keys.get()
        if not isinstance(keys, AwsKeys):
            return ProposedRates(why=keys.error)
        headers = self._signed("GET", self._account, {}, _NO_HASH, keys)
        reply = await self._wire.exchange("GET", self._account, headers, b"", no_start)
        if not isinstance(reply, Response):
            return ProposedRates(why=f"{SERVICE}: {reply.error}")
        if reply.status != HTTPStatus.OK:
            return ProposedRates(
                why=f"{SERVICE} answered {reply.status} {exception(reply)}".strip()
            )
        return _windows(document(reply.body))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()


def _windows(body: Document) -> ProposedRates:
    """A quota of -1 is none."""
    quota = body.get("SendQuota")
    told = quota if isinstance(quota, dict) else {}
    found = [(told.get("MaxSendRate"), 1.0), (told.get("Max24HourSend"), _DAY)]
    windows = [
        (int(most), per) for most, per in found if isinstance(most, int | float) and most >= 1
    ]
    return ProposedRates(windows) if windows else ProposedRates(why=f"{SERVICE} told no quota")


def _is_long(delivery: Delivery) -> bool:
    content, extras = delivery.content, delivery.mail
    texts = (content.html, content.text) if isinstance(content, EmailContent) else ()
    files = () if extras is None else extras.attachments
    return sum(len(one or "") for one in texts) + sum(len(one.content) for one in files) > _LONG
