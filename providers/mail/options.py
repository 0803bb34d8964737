"""What a section may say of the mails that are made here, whoever carries them."""

from __future__ import annotations

from pydantic import Field

from carillon.providers.config import Options
from carillon.providers.mail.headers import UNSUBSCRIBE


class MailOptions(Options):
    """Options of every type whose mails are made here."""

    list_unsubscribe: str | None = Field(
        default=None,
        pattern=UNSUBSCRIBE.pattern.replace("!-;=?-~", "!-;=?-~{}"),
        max_length=800,
        description="An https: or mailto: URL by which readers leave a list, for the headers "
        "`List-Unsubscribe` and `List-Unsubscribe-Post`. `{deliveryId}` is filled in.",
    )


def unsubscribe_url(template: str | None, delivery_id: str) -> str | None:
    """By which the reader of one mail leaves the list; None where there is no such way."""
    return None if template is None else template.replace("{deliveryId}", delivery_id)
