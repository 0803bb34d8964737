"""The types of providers: each named in one line, and each says of itself what others need."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

from carillon.providers.config import ProviderConfig, leaves, name_of, needs, variables
from carillon.providers.kaleyra import KaleyraConfig
from carillon.providers.registry import TYPES, registered
from carillon.providers.sms_service import SmsServiceConfig

SMS: Final = "carillon.providers.sms_service:SmsServiceConfig"
ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("settings", "app", "tuning", "api", "cli", "actors", "dispatches")
OF_PEOPLE: Final = {"sandbox", "http"}
"""Is named by the demo, which has sandboxes; is the name of a protocol."""


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_a_type_is_whole(kind: type[ProviderConfig]) -> None:
    assert TYPES[name_of(kind)] is kind
    assert kind.__doc__
    assert kind.facts.channels
    assert kind.build is not ProviderConfig.build
    assert kind(type=name_of(kind)).type == name_of(kind)


def test_a_mail_that_is_made_here_has_its_text_beside_its_html() -> None:
    assert {name for name, kind in TYPES.items() if kind.facts.both_bodies} == {"smtp", "ses"}


def test_no_variable_is_read_for_two_things() -> None:
    names = [one.name for kind in TYPES.values() for one in variables(kind)]
    assert sorted(names) == sorted(set(names))


def test_no_name_has_two_types() -> None:
    class Other(ProviderConfig):
        type: str = "sms-service"

    globals()["Other"] = Other
    with pytest.raises(TypeError, match="another type sms-service"):
        registered([SMS, f"{__name__}:Other"])
    assert registered([SMS]) == {"sms-service": SmsServiceConfig}


def test_what_is_no_type_is_refused() -> None:
    with pytest.raises(TypeError, match="SmsService is no type of provider"):
        registered(["carillon.providers.sms_service:SmsService"])


def test_what_a_type_needs_is_found_in_its_inner_sections_too() -> None:
    assert [[one.name for one in mark.variables] for mark in needs(KaleyraConfig)] == [
        ["KALEYRA_API_BASE_URL"],
        ["KALEYRA_API_KEY"],
        ["KALEYRA_SID", "KALEYRA_API_SID"],
    ]


def test_secrets_of_a_section_are_known_as_such() -> None:
    config = KaleyraConfig.model_validate({"options": {"fields": {"pin": "1"}}})
    assert [one.place for one in leaves(config) if one.is_secret] == [
        ("credentials", "apiKey"),
        ("options", "messageFields"),
        ("options", "fields"),
    ]
    config = KaleyraConfig.model_validate({"url": "http://kaleyra?key=x"})
    assert ("url",) in [one.place for one in leaves(config) if one.is_secret]
    assert "pin" not in repr(config)


def test_a_type_is_named_in_its_module_and_nowhere_else() -> None:
    """In code: docstrings, help and examples may say it."""
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.value}"
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in TYPES.keys() - OF_PEOPLE
    ]
    assert found == []
