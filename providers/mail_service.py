"""The mail service of Mia-Platform: `POST /send`, JSON, or multipart with attachments.

Contract: SES / SMTP Mail Notification Service 3.2 (contracts 1.2).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from carillon.http_client.ports import Body, Headers, Reply, Request, Wire
from carillon.http_client.urls import below, endpoint_url, service_endpoint
from carillon.messages.model import Attachment, Attempt, Delivery, EmailContent
from carillon.providers.config import (
    BuildContext,
    Facts,
    HttpProviderConfig,
    Variable,
    needed,
    of_type,
)
from carillon.providers.encoding import JSON_HEADERS, json_body
from carillon.providers.mail.headers import media_type
from carillon.providers.one_exchange import OneExchange
from carillon.providers.ports import Exchange, Provider
from carillon.providers.responses import attempt
from carillon.providers.values import Url

SERVICE: Final = "mail-service"


class MailServiceConfig(HttpProviderConfig):
    """The mail service of Mia-Platform."""

    facts = Facts(channels=("email",))

    type: Literal["mail-service"] = of_type("mail-service")
    url: Url = needed(
        "",
        Variable("MAIL_SERVICE_NAME", "the mail service", service_endpoint),
        Variable("MAIL_SERVICE_URL", "the same as a URL; wins over the name", endpoint_url),
        description="Base; `/send` is added.",
    )

    def build(self, context: BuildContext) -> Provider:
        """See `ProviderConfig`."""
        return MailService(self.url, context.wire)


class MailService(OneExchange):
    """Sends one mail a call. `url` is the base without `/send`; it may have a path and a query.

    Accepted means that the mail service took it.
    """

    def __init__(self, url: str, wire: Wire) -> None:
        super().__init__(wire, below(url, "/send"), SERVICE)

    def exchange(self, delivery: Delivery) -> Exchange:
        """See `SingleExchange`."""
        headers, body = _request(delivery)
        return Exchange(Request(self._url, headers, body), _read)


def _read(reply: Reply, delivery: Delivery) -> Attempt:
    return attempt(reply, SERVICE, delivery)


def _request(delivery: Delivery) -> tuple[Headers, Body]:
    fields = _fields(delivery)
    if delivery.mail is not None and delivery.mail.attachments:
        return _multipart(fields, delivery.mail.attachments)
    return JSON_HEADERS, json_body(fields)


def _fields(delivery: Delivery) -> dict[str, str | list[str]]:
    content = delivery.content
    if not isinstance(content, EmailContent):
        raise TypeError("the mail service carries mails only")
    fields: dict[str, str | list[str]] = {
        "recipient": delivery.address,
        "subject": content.subject,
        "sender": delivery.sender,
    }
    if delivery.mail is not None:
        if delivery.mail.carbon_copies:
            fields["cc"] = list(delivery.mail.carbon_copies)
        if delivery.mail.blind_carbon_copies:
            fields["bcc"] = list(delivery.mail.blind_carbon_copies)
    if content.html is not None:
        fields["htmlMessage"] = content.html
    else:
        fields["message"] = content.text or ""
    return fields


def _multipart(
    fields: Mapping[str, str | list[str]], attachments: Sequence[Attachment]
) -> tuple[Headers, Body]:
    """Segments that share the attachments' bytes. `sender` is called `from` here.

    How lists are coded is not documented; repeated parts are what most parsers read as lists.
    """
    boundary = secrets.token_hex(16).encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary.decode()}"}
    texts = [
        b'--%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (boundary, b"from" if name == "sender" else name.encode(), text.encode(errors="replace"))
        for name, value in fields.items()
        for text in ([value] if isinstance(value, str) else value)
    ]
    parts = [b"".join(texts)]
    for number, file in enumerate(attachments, start=1):
        parts += [_file_head(boundary, number, file), file.content, b"\r\n"]
    return headers, [*parts, b"--%b--\r\n" % boundary]


def _file_head(boundary: bytes, number: int, file: Attachment) -> bytes:
    """A file part's head. Names are escaped as browsers do, so that none ends its line."""
    name = file.name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    return (
        b'--%b\r\ncontent-disposition: form-data; name="file%d"; filename="%b"\r\n'
        b"content-type: %b\r\n\r\n"
    ) % (boundary, number, name.encode(errors="replace"), media_type(file.media_type).encode())
