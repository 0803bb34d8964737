"""The JSON Schema of the file, and that the documentation tells all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from carillon.messages.model import CHANNELS, Document, JsonValue
from carillon.providers.registry import TYPES
from carillon.settings import VARIABLES, ConfigurationError, from_document, schema
from tests.properties import examples
from tests.settings.examples import SMS_ENVIRONMENT, sms

CHANNEL = re.compile(rf"channels\.({'|'.join(CHANNELS)})\.")
PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def section(value: JsonValue) -> Document:
    return value if isinstance(value, dict) else {}


def leaves(node: Document, root: Document, path: str = "") -> Iterator[tuple[str, Document]]:
    """Every key of the file with its part of the schema: `providers.<name>.rate[].limit`."""
    name = str(node.get("$ref", "")).rpartition("/")[2]
    node = section(section(root["$defs"]).get(name)) if name else node
    forms = node.get("anyOf")
    for form in forms if isinstance(forms, list) else []:
        if "$ref" in section(form):
            yield from leaves(section(form), root, path)
        elif "items" in section(form):
            yield from leaves(section(section(form)["items"]), root, f"{path}[]")
    for key, child in section(node.get("properties")).items():
        if "if" not in section(child):  # a section by its name, which has the keys of its type
            yield from leaves(section(child), root, f"{path}.{key}".removeprefix("."))
    others = section(node.get("additionalProperties"))
    types = others.get("oneOf")
    for one in types if isinstance(types, list) else [others] if "$ref" in others else []:
        yield from leaves(section(one), root, f"{path}.<name>")
    yield from leaves(section(node.get("items")), root, f"{path}[]") if "items" in node else ()
    is_section = "properties" in node or "$ref" in others or "oneOf" in others
    if path and not is_section and not path.endswith("]"):
        yield path, node


def test_it_is_a_json_schema_of_draft_2020_12() -> None:
    found = schema()

    OAS31Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["title"] == "Carillon configuration"
    assert '"null"' not in json.dumps(found)


def test_every_key_is_described() -> None:
    root = schema()

    assert [path for path, node in leaves(root, root) if not node.get("description")] == []


def test_the_page_names_every_key_with_its_default() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    cells = {row.split("|")[1].strip(" `"): row for row in rows}
    root = schema()
    missing = []
    for path, node in leaves(root, root):
        row = CHANNEL.sub("channels.<channel>.", path)
        default = json.dumps(node["default"]) if "default" in node else ""
        if row not in cells or default not in cells[row]:
            missing.append((row, default))

    assert missing == []


def test_the_page_names_no_key_that_is_not_there() -> None:
    root = schema()
    known = {path for path, _ in leaves(root, root)}
    known = {CHANNEL.sub("channels.<channel>.", path) for path in known}
    lines = PAGE.read_text().split("## File", 1)[1].splitlines()
    rows = [line.split("|")[1].strip(" `") for line in lines if line.startswith("| `")]

    assert {row for row in rows if row not in known} == {*TYPES}


def test_the_page_names_every_variable() -> None:
    page = PAGE.read_text()

    assert [name for name in VARIABLES if f"`{name}`" not in page] == []


EXAMPLES: list[Document] = [
    sms(),
    sms(channels={"sms": {"providers": ["a", {"name": "b", "weight": 3}], "timeToLive": "1m"}}),
    sms(providers={"a": {"type": "sandbox", "rate": [{"limit": 1, "per": "1s"}]}}, drain=0),
    sms(flowManagerConfiguration={"metadataSchema": {"channels": ["a"]}, "successPolicy": 0.5}),
    sms(unknown={"a": 1}),
    sms(providers={"sms-service": {"timeout": "1s"}, "kaleyra": {"type": "sandbox"}}),
    sms(providers={"voice": {"type": "kaleyra", "options": {"fields": {"retry": "1"}}}}),
]


@pytest.mark.parametrize("document", EXAMPLES)
def test_right_files_are_valid(document: Document) -> None:
    assert OAS31Validator(schema()).is_valid(document)


@pytest.mark.parametrize(
    "keys",
    [
        {"activeChannels": ["fax"]},
        {"drain": "soon"},
        {"drain": 5},
        {"providers": {"x": {"concurency": 1}}},
        {"providers": {"a b": {"type": "sandbox"}}},
        {"providers": {"backup": {}}},
        {"providers": {"backup": {"type": "pigeon"}}},
        {"providers": {"sandbox": {"url": "http://x"}}},
        {"providers": {"backup": {"type": "sandbox", "url": "http://x"}}},
        {"providers": {"sms-service": {"credentials": {"apiKey": "k"}}}},
        {"providers": {"sms-service": {"type": "sandbox", "url": "http://x"}}},
        {"providers": {"kafka2firebase": {"topics": ["t"]}}},
        {"channels": {"sms": {"providers": [5]}}},
        {"limits": {"bodyBytes": 0}},
    ],
)
def test_wrong_files_are_not(keys: Document) -> None:
    assert not OAS31Validator(schema()).is_valid(sms() | keys)


KEYS = sorted(
    {step for path, _ in leaves(schema(), schema()) for step in path.replace("[]", "").split(".")}
    | {"sms-service", "kaleyra", "a", "ü", "\x00", "__proto__"}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["30s", "0", "sms", "http://x", "sms-service", "sandbox", "UTC", "{text}"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
PLACES = [path.replace("<name>", "sms-service") for path, _ in leaves(schema(), schema())]


def put(document: Document, path: str, value: JsonValue) -> None:
    """Set the value at a place, making the sections and lists on the way."""
    *way, last = path.replace("[]", ".0").split(".")
    for step, following in zip(way, [*way, last][1:], strict=True):
        if following == "0":
            inner: Document = {}
            document[step] = [inner]
            document = inner
        elif step != "0":
            document = section(document.setdefault(step, {}))
    document[last] = value


def refuses_or_takes(document: JsonValue, environ: dict[str, str]) -> bool:
    """Whether there are settings; anything but a `ConfigurationError` that says why is a bug."""
    try:
        return bool(from_document(document, environ).providers)
    except ConfigurationError as error:
        return bool(str(error).encode()) and bool(error.problems)


@pytest.mark.slow
@profile(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(PLACES), value=ANYTHING)
def test_no_value_at_any_key_raises_anything_else(path: str, value: JsonValue) -> None:
    document = sms()
    put(document, path, value)

    assert refuses_or_takes(document, SMS_ENVIRONMENT)


@pytest.mark.slow
@profile(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(document=ANYTHING, environ=st.dictionaries(st.sampled_from([*VARIABLES]), st.text()))
def test_no_file_and_no_environment_raises_anything_else(
    document: JsonValue, environ: dict[str, str]
) -> None:
    assert refuses_or_takes(document, environ)
