"""`carillon providers types`: what a configuration may name, without a service."""

from __future__ import annotations

import json

from carillon.providers.registry import TYPES
from carillon.settings import VARIABLES, schema
from tests.cli.command_line import invoke


def test_each_type_is_told_with_what_it_needs() -> None:
    result = invoke("providers", "types")
    header, *rows = result.stdout.splitlines()
    assert result.exit_code == 0
    assert header.split()[:3] == ["type", "calls", "channels"]
    assert [row.split()[0] for row in rows] == [*TYPES]
    [kafka] = [row for row in rows if row.startswith("kafka2firebase")]
    assert "KAFKA_TOPICS, KAFKA_BROKERS" in kafka
    [sms] = [row for row in rows if row.startswith("sms-service")]
    assert sms.split()[-3:] == ["url", "hold", "100/1m"]


def test_scripts_read_the_same_with_every_key() -> None:
    told = json.loads(invoke("providers", "types", "--json").stdout)
    by_name = {one["type"]: one for one in told}
    [url, *_] = by_name["sms-service"]["keys"]
    assert (url["key"], url["required"]) == ("url", True)
    assert url["variables"] == ["SMS_SERVICE_NAME", "SMS_SERVICE_URL"]
    assert by_name["sms-service"]["documentedRate"] == {"limit": 100, "per": "1m"}
    assert by_name["firebase"]["onUnknownOutcome"] == "retry"
    assert {name for one in told for name in one["variables"]} <= VARIABLES.keys()


def test_the_schema_has_the_keys_of_every_type() -> None:
    told = json.loads(invoke("providers", "types", "--json").stdout)
    found = schema()["properties"]
    assert isinstance(found, dict)
    providers = found["providers"]
    assert isinstance(providers, dict)
    assert isinstance(providers["properties"], dict)
    assert [*providers["properties"]] == [one["type"] for one in told] == [*TYPES]
