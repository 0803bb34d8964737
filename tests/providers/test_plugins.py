"""Types that other packages bring: what is sound is taken, of all else one sentence is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final, Literal

import pytest

from carillon.providers import registry
from carillon.providers.config import (
    BuildContext,
    Facts,
    HttpProviderConfig,
    ProviderConfig,
    Variable,
    needed,
    of_type,
)
from carillon.providers.plugins import GROUP, Plugins, plugins, said
from carillon.providers.ports import Provider
from carillon.providers.registry import BUILT_IN
from carillon.settings import ConfigurationError, from_document
from carillon.settings.effect import unusable_plugins
from carillon.settings.providers import check_providers, plugin_fault
from tests.settings.examples import problems, sms, sms_provider

MODULE: Final = "carillon_pigeon_of_tests"


class Sound(HttpProviderConfig):
    """A pigeon."""

    facts = Facts(channels=("sms",))
    type: Literal["pigeon"] = of_type("pigeon")

    def build(self, context: BuildContext) -> Provider:
        raise RuntimeError(f"no pigeon for {context.name}\nat all")

    def check(self, read: object) -> None:
        raise KeyError("nest")


class OtherName(Sound):
    """Says another name than its entry point."""

    type: Literal["dove"] = of_type("dove")  # type: ignore[assignment]


class AnyName(Sound):
    """Says no name."""

    type: str = of_type("pigeon")  # type: ignore[assignment]


class NoFacts(ProviderConfig):
    """Says nothing of itself."""

    type: Literal["pigeon"] = of_type("pigeon")

    def build(self, context: BuildContext) -> Provider:
        raise NotImplementedError


class OddChannel(Sound):
    """Carries what nobody knows."""

    facts = Facts(channels=("fax",))  # type: ignore[arg-type]


class NoBuild(ProviderConfig):
    """Makes nothing."""

    facts = Facts(channels=("sms",))
    type: Literal["pigeon"] = of_type("pigeon")


class TakenVariable(Sound):
    """Reads what the SMS service reads."""

    url: str = needed(
        "", Variable("SMS_SERVICE_URL", "the same", str), description="Of somebody else."
    )


@pytest.fixture(autouse=True)
def module() -> Iterator[None]:
    """The classes above as a module that an entry point may name."""
    made = ModuleType(MODULE)
    vars(made).update(
        {kind.__name__: kind for kind in globals().values() if isinstance(kind, type)}, number=7
    )
    sys.modules[MODULE] = made
    yield
    del sys.modules[MODULE]


def point(place: str, name: str = "pigeon", module: str = MODULE) -> EntryPoint:
    return EntryPoint(name, f"{module}:{place}", GROUP)


def test_what_is_sound_is_a_type_like_ours() -> None:
    found = plugins([point("Sound")], BUILT_IN)
    assert found == Plugins({"pigeon": Sound}, {"pigeon": "no package"}, {})


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("Nothing", "AttributeError: module"),
        ("number", "it is no subclass of carillon.providers.config.ProviderConfig"),
        ("Path", "it is no subclass of carillon.providers.config.ProviderConfig"),
        ("OtherName", 'its key `type` must be Literal["pigeon"] = of_type("pigeon")'),
        ("AnyName", 'its key `type` must be Literal["pigeon"]'),
        ("NoFacts", "its `facts` must be Facts with channels among email, sms, push, voice"),
        ("OddChannel", "its `facts` must be Facts with channels among email, sms, push, voice"),
        ("NoBuild", "it has no method `build`"),
        ("TakenVariable", "another type reads the environment variable SMS_SERVICE_URL"),
    ],
)
def test_what_is_not_is_told_in_one_sentence(place: str, why: str) -> None:
    found = plugins([point(place)], BUILT_IN)
    assert not found.types
    sentence = found.broken["pigeon"]
    beginning = f'the plug-in "pigeon" (no package, {MODULE}:{place}) cannot be used: '
    assert sentence.startswith(beginning + why)
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named"),
        ("class :", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('a\\nb https://u:secret@h/')", "ValueError: a b https://…@h/"),
    ],
)
def test_a_module_that_cannot_be_imported_raises_nothing(
    content: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"carillon_broken_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = plugins([point("Any", module=name)], BUILT_IN)
    assert f"cannot be used: {why}" in found.broken["pigeon"]


def test_the_name_of_a_type_of_ours_stays_ours() -> None:
    found = plugins([point("Sound", "sms-service")], BUILT_IN)
    assert not found.types
    assert "a type of Carillon's own has this name" in found.broken["sms-service"]


def test_of_two_packages_with_one_name_neither_is_taken() -> None:
    found = plugins([point("Sound"), point("NoBuild")], BUILT_IN)
    assert not found.types
    assert "several packages have a type of this name" in found.broken["pigeon"]


def test_what_others_raise_is_one_line() -> None:
    assert said(KeyError("a\nb" * 500)).startswith("KeyError: 'a\\nba")
    assert len(said(KeyError("x" * 5000))) < 400


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> str:
    """A plug-in at fault is installed; gives the sentence about it."""
    found = plugins([point("NoBuild")], BUILT_IN)
    for name in ("file.checking", "channels", "effect"):
        monkeypatch.setattr(f"carillon.settings.{name}.PLUGINS", found)
    return found.broken["pigeon"]


def test_a_plugin_at_fault_is_no_matter_to_who_does_not_name_it(broken: str) -> None:
    settings = from_document(sms(), {"SMS_SERVICE_NAME": "sms"})
    assert settings.warnings == unusable_plugins() == (broken,)


def test_who_names_it_is_told_why_it_cannot_be_used(broken: str) -> None:
    section = sms(providers={"bird": {"type": "pigeon"}}, channels={"sms": {"providers": ["bird"]}})
    assert f"providers.bird.type: {broken}" in problems(section, {})
    assert f"providers.pigeon: {broken}" in problems(sms(providers={"pigeon": {}}), {})
    by_name = sms(channels={"sms": {"providers": ["pigeon"]}})
    assert problems(by_name, {}) == [f"channels.sms.providers[0]: {broken}"]


def test_a_bug_of_a_plugin_is_told_as_one_and_a_bug_of_ours_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = plugins([point("Sound")], BUILT_IN)
    types = MappingProxyType({**BUILT_IN, "sms-service": BUILT_IN["sms-service"]})
    assert types == registry.TYPES
    monkeypatch.setattr("carillon.settings.providers.PLUGINS", found)
    error = RuntimeError("no\nnest")
    told = plugin_fault("pigeon", error)
    assert told == 'a fault of the plug-in "pigeon" (no package): RuntimeError: no nest'
    assert plugin_fault("sms-service", error) is None
    settings = from_document(sms_provider(url="http://h"), {})
    settings.providers["sms-service"].config.__class__ = Sound
    object.__setattr__(settings.providers["sms-service"].config, "type", "pigeon")
    with pytest.raises(ConfigurationError) as raised:
        check_providers(settings)
    assert raised.value.problems == [
        "providers.sms-service: a fault of the plug-in \"pigeon\" (no package): KeyError: 'nest'"
    ]
