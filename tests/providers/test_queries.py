"""An address with a query: it goes with every request, and nobody is shown it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import Delivery, Document
from carillon.providers.config import BuildContext
from carillon.providers.registry import TYPES
from carillon.settings.file.opening import read_start
from tests.neighbours.fcm import Fcm
from tests.neighbours.http import Answer, serve
from tests.providers.deliveries import Starts, email, push, sms, voice
from tests.providers.test_kafka2firebase import FakeHandovers
from tests.providers.test_twilio import ACCOUNT

QUERY: Final = "?tenant=7&key=PA%2FSS"
SENT: Final[dict[str, tuple[Delivery, str]]] = {
    "mail-service": (email(), "/base/send"),
    "sms-service": (sms(), "/base/send"),
    "ses": (email(), "/base/v2/email/outbound-emails"),
    "twilio": (sms(), f"/base/2010-04-01/Accounts/{ACCOUNT}/Messages.json"),
    "vonage": (sms(), "/base/sms/json"),
    "kaleyra": (voice(), "/base/v1/SID1/voice/outbound"),
    "firebase": (push(), "/base/v1/projects/shop/messages:send"),
}


@pytest.mark.parametrize("name", SENT)
async def test_a_query_goes_with_every_request(name: str, wire: HttpxWire, tmp_path: Path) -> None:
    delivery, path = SENT[name]
    async with serve(Answer(200, b'{"access_token": "t", "expires_in": 3600}')) as server:
        (tmp_path / "account.json").write_text(Fcm(project="shop").credentials(server.url))
        keys: dict[str, Document] = {
            "kaleyra": {"credentials": {"sid": "SID1", "apiKey": "key-1"}},
            "ses": {
                "region": "eu-west-1",
                "credentials": {"accessKeyId": "AKID", "secretAccessKey": "key-1"},
            },
            "twilio": {"credentials": {"accountSid": ACCOUNT, "authToken": "key-1"}},
            "vonage": {"credentials": {"apiKey": "abcd", "apiSecret": "key-1"}},
            "firebase": {"credentials": {"file": str(tmp_path / "account.json")}},
        }
        section: Document = {
            "type": name,
            "url": f"{server.url}/base/{QUERY}",
            **keys.get(name, {}),
        }
        config = TYPES[name].model_validate(section)
        provider = config.build(BuildContext(name, wire, FakeHandovers(), read_start))
        await provider.send(delivery, Starts())
    assert server.requests[-1].target == f"{path}{QUERY}"
    assert "PA%2FSS" not in repr(config)
