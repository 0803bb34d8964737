"""Keys, variables, metrics and routes that README and docs name are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from carillon.messages.commands import SendCommand
from carillon.settings import VARIABLES, schema
from tests.docs.pages import PAGES, ROOT, spans
from tests.running import running
from tests.settings.file.test_schema import leaves

NOT_OURS: Final = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),  # of the whole machine
        *("OK_URL", "KO_URL", "HEADERS_TO_PROXY"),  # of Kafka2Firebase
        *("RATE_LIMIT_MAX_REQUESTS", "RATE_LIMIT_TIME_WINDOW"),  # of the Mia SMS service
        "EXPONENTIAL_DELAY_RESET_AFTER",
        *("STORE_MOVE_URL", "TEST_MONGODB_URI"),  # of one command, of tests
    }
)
KEY: Final = re.compile(r"[a-zA-Z]+(\.[\w<>\[\]-]+)+")
VARIABLE: Final = re.compile(r"([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])\b")
METRIC: Final = re.compile(r"\bcarillon_[a-z_]+")
ROUTE: Final = re.compile(r"(GET|POST|PATCH|DELETE|PUT) (/[^\s?]*)(\?\S*)?")


def named() -> Iterator[tuple[str, str]]:
    """Each piece of inline code with its page."""
    return ((page.name, span) for page in PAGES for span in spans(page))


def sections() -> frozenset[str]:
    """Every key of the configuration file, and every section on the way to one."""
    root = schema()
    paths = [path.replace("[]", "").split(".") for path, _ in leaves(root, root)]
    ways = {".".join(path[: i + 1]) for path in paths for i in range(len(path))}
    return frozenset(re.sub(r"^channels\.\w+", "channels.<channel>", way) for way in ways) | ways


def test_every_key_of_the_configuration() -> None:
    known = sections()
    keys = [(page, span) for page, span in named() if KEY.fullmatch(span)]
    ours = [(page, span) for page, span in keys if span.split(".")[0] in known]
    assert len(ours) > 50
    assert [at for at in ours if at[1].replace("[]", "") not in known] == []


def test_every_variable() -> None:
    known = {name for names in VARIABLES for name in VARIABLE.findall(names)} | NOT_OURS
    found = [(page, one[1]) for page, span in named() if (one := VARIABLE.match(span))]
    assert len(found) > 50
    assert [at for at in found if at[1] not in known] == []


async def test_every_metric_and_every_route(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        metrics = (await service.client.get("/-/metrics")).text
        paths = (await service.client.get("/documentation/json")).json()["paths"]
    known = re.findall(r"^# TYPE (\S+)", metrics, re.MULTILINE)
    routes = [(page, *one.groups()) for page, span in named() if (one := ROUTE.fullmatch(span))]
    counted = [(page.name, one) for page in PAGES for one in METRIC.findall(page.read_text())]
    assert len(routes) > 20
    assert len(counted) > 10
    assert [at for at in counted if not at[1].startswith(tuple(known))] == []
    assert [at for at in routes if not documented(paths, at[1], at[2])] == []


def documented(paths: dict[str, dict[str, object]], method: str, route: str) -> bool:
    """Whether the OpenAPI document has the route; an id in it may stand for any."""
    return any(
        re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), route) is not None
        for path, operations in paths.items()
        if method.lower() in operations
    )


def test_every_field_of_a_request() -> None:
    page = (ROOT / "docs" / "sending.md").read_text("utf-8")
    table = page.partition("| field of the body |")[2].partition("\n\n")[0]
    cells = (line.split("|")[1] for line in table.splitlines()[2:])
    fields = [field for cell in cells for field in re.findall(r"`(\w+)`", cell)]
    known = (one.alias or name for name, one in SendCommand.model_fields.items())
    assert sorted(fields) == sorted(known)
