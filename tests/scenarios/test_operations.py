"""Probes, metrics and logs: true, and without a word about people."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from carillon.messages.model import Document
from tests.running import SENDERS, Running, running

ADA: Document = {
    "_id": "ada-the-first",
    "emailAddress": "ada@secret.test",
    "phoneNumber": "+393331234567",
    "name": "Lovelace",
}


async def test_the_probes_answer_as_mia_services_do(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for path in ("healthz", "ready", "check-up"):
            answer = await service.client.get(f"/-/{path}")
            assert answer.status_code == 200
            body = answer.json()
            assert (body["name"], body["status"]) == ("carillon", "OK")
            assert body["version"]


async def test_check_up_names_a_dead_neighbour_and_readiness_does_not(tmp_path: Path) -> None:
    environ = {"CRUD_SERVICE_URL": "http://127.0.0.1:9", "USERS_CRUD_NAME": "users"}
    configuration: Document = {
        "activeChannels": ["sms"],
        "sender": SENDERS,
        "channels": {"sms": {"providers": ["sandbox"]}},
        "providers": {"sandbox": {}},
    }
    async with running(tmp_path, configuration, environ=environ) as service:
        assert (await service.client.get("/-/ready")).status_code == 200
        check_up = await service.client.get("/-/check-up")
    assert check_up.status_code == 503
    assert check_up.json()["status"] == "KO"
    assert "files" not in check_up.json()["neighbours"]  # there are none
    assert check_up.json()["neighbours"]["directory"] != "OK"


async def send_some(service: Running) -> str:
    await service.send(
        channels=["email", "sms"],
        recipients=["ada-the-first", "nobody-at-all"],
        messageContent="Dear {{user.name}}",
    )
    return (await service.client.get("/-/metrics")).text


async def test_metrics_count_by_channel_provider_and_outcome(tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        text = await send_some(service)
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["carillon_dispatches_total",] == 1
    sent = ("carillon_deliveries_total", "accepted", "email", "email-sandbox", "sent")
    assert samples[sent] == 1
    unknown = ("carillon_deliveries_total", "failed", "none", "sms", "user-not-found")
    assert samples[unknown] == 1
    assert samples["carillon_attempts_total", "accepted", "sms", "sms-sandbox"] == 1
    assert samples["carillon_mailbox_depth", "sms"] == 0
    assert samples["carillon_provider_in_flight", "sms-sandbox"] == 0
    assert samples["carillon_provider_waiting", "sms-sandbox"] == 0
    assert samples["carillon_provider_breaker", "sms-sandbox"] == 0
    assert samples["http_request_duration_seconds_count", "/send", "200", "POST"] == 1


async def test_neither_logs_nor_metrics_tell_of_people(tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        seen = await send_some(service) + service.log.getvalue()
    for secret in ("ada-the-first", "secret.test", "3331234567", "Lovelace", "nobody-at-all"):
        assert secret not in seen


async def test_a_request_is_one_log_line_with_its_dispatch(tmp_path: Path) -> None:
    async with running(tmp_path, users=[ADA]) as service:
        answer = await service.client.post(
            "/send",
            json={
                "channels": ["sms"],
                "recipients": [],
                "messageTitle": "T",
                "messageContent": "C",
            },
            headers={"X-Request-Id": "req-7"},
        )
        [line] = [one for one in service.log_lines if one["msg"] == "request completed"]
    assert line["reqId"] == "req-7"
    assert line["level"] == 30
    assert line["dispatchId"] == answer.headers["Dispatch-Id"]
    assert line["http.request.method"] == "POST"
    assert line["http.response.statusCode"] == 200
    assert line["url.path"] == "/send"
    assert {"time", "pid", "hostname", "responseTime", "host.hostname"} <= line.keys()
