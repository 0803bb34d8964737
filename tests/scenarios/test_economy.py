"""Identical work is done once: what texts never read is neither rendered anew nor asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from carillon.handlebars.engine import Template
from carillon.messages.model import Document
from tests.running import running
from tests.scenarios.neighbourhood import neighbourhood, people

MANY: list[Document] = [
    {"_id": f"u{number:05}", "phoneNumber": f"+39333{number:06}99", "clusters": ["all"]}
    for number in range(10_000)
]


async def test_a_text_that_mentions_no_user_is_rendered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []
    render = Template.render

    def counting(self: Template, context: Mapping[str, object], *, short: bool = False) -> str:
        rendered.append(self.source)
        return render(self, context, short=short)

    monkeypatch.setattr(Template, "render", counting)
    async with running(tmp_path, users=MANY) as service:
        text = "Order {{data.order}} has left"
        await service.send(
            channels=["sms"], clusters=["all"], messageContent=text, data={"order": 42}
        )
    assert rendered == [text]
    assert len(service.sent) == len(MANY)
    assert {str(one.content) for one in service.sent} == {"TextContent(text='Order 42 has left')"}


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Dear {{user.name}} of {{user.address.city}}", "_id,address,name,phoneNumber"),
        ("Dear customer", "_id,phoneNumber"),
        ("{{#each user}}{{@key}} {{/each}}", None),
        ("{{lookup user data.field}}", None),
    ],
)
async def test_only_the_fields_that_are_needed_are_read(
    text: str, asked: str | None, tmp_path: Path
) -> None:
    async with neighbourhood(tmp_path, users=people(3)) as at:
        await at.send("sms", clusters=["all"], messageContent=text)
        [request] = at.crud.lists
    assert request.query.get("_p") == (None if asked is None else [asked])
