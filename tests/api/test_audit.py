"""`GET /audit`: who changed what, newest first."""

from __future__ import annotations

from pathlib import Path

from carillon.api.openapi import openapi_document
from tests.api.test_documentation import check
from tests.running import running


async def test_a_change_tells_who_when_and_what_before_and_after(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await service.client.patch("/providers/sms-sandbox", json={"concurrency": 5})
        answer = await service.client.get("/audit")
        check(openapi_document("1", ""), "/audit", answer)
    [entry] = answer.json()["entries"]
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "who": "loopback",
        "action": "change",
        "provider": "sms-sandbox",
        "before": {"concurrency": 20},
        "after": {"concurrency": 5},
    }
    assert answer.json()["next"] is None


async def test_entries_come_by_provider_and_a_page_at_a_time(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for name in ("sms", "email", "sms", "sms"):
            shown = await service.client.get(f"/providers/{name}-sandbox")
            more = shown.json()["settings"]["concurrency"]["value"] + 1
            path = f"/providers/{name}-sandbox"
            await service.client.patch(path, json={"concurrency": more})
        page = (await service.client.get("/audit?provider=sms-sandbox&limit=2")).json()
        assert [one["after"]["concurrency"] for one in page["entries"]] == [23, 22]
        cursor = page["next"]
        rest = await service.client.get(f"/audit?provider=sms-sandbox&limit=2&cursor={cursor}")
        nobody = await service.client.get("/audit?provider=nobody")
    assert [one["after"]["concurrency"] for one in rest.json()["entries"]] == [21]
    assert (rest.json()["next"], nobody.json()["entries"]) == (None, [])


async def test_a_wrong_page_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for query in ("limit=0", "limit=1001", "limit=x", "cursor=x"):
            answer = await service.client.get(f"/audit?{query}")
            assert answer.status_code == 400, query
            assert query.partition("=")[0] in answer.json()["message"]
            check(openapi_document("1", ""), "/audit", answer)
