"""What a caller may ask is checked at the edge, and a refusal names the field and the rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.messages.commands import SendCommand, parse_send, recorded_send
from carillon.messages.errors import BadCommand

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
A_MOMENT = "expiresAt must be a moment in ISO 8601 with a zone, such as 2026-01-31T09:30:00Z"
A_DURATION = 'timeToLive must be a duration such as "500ms", "30s", "1m", "24h" or "30d"'


def command(**fields: object) -> SendCommand:
    return parse_send({"channels": ["sms"], "recipients": [], "templateId": "t", **fields})


def refusal(**fields: object) -> str:
    with pytest.raises(BadCommand) as caught:
        command(**fields)
    return str(caught.value)


@pytest.mark.parametrize("priority", ["high", "normal", "bulk"])
def test_a_priority_is_one_of_three(priority: str) -> None:
    assert command(priority=priority).priority == priority


def test_nothing_said_is_normal_and_has_no_end() -> None:
    for fields in ({}, {"priority": None, "expiresAt": None, "timeToLive": None}):
        one = command(**fields)
        assert (one.priority, one.expires_at, one.time_to_live) == ("normal", None, None)
        assert one.seconds_left(NOW) is None


@pytest.mark.parametrize("priority", ["urgent", "High", "", 1, True, ["high"], {}])
def test_another_priority_is_refused(priority: object) -> None:
    assert refusal(priority=priority) == "priority must be one of 'high', 'normal' or 'bulk'"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T10:00:00.250+00:00", datetime(2026, 1, 31, 10, 0, 0, 250_000, UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T10:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("20260131T100000Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_moment_is_iso_8601_with_a_zone(text: str, moment: datetime) -> None:
    one = command(expiresAt=text)
    assert one.expires_at == moment
    assert one.seconds_left(NOW) == (moment - NOW).total_seconds()


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T10:00:00",
        "2026-01-31",
        "2026-02-30T10:00:00Z",
        "2026-01-31T25:00:00Z",
        "tomorrow",
        "",
        1769852400,
        1769852400.5,
        True,
        ["2026-01-31T10:00:00Z"],
        {},
    ],
)
def test_anything_else_is_no_moment(value: object) -> None:
    assert refusal(expiresAt=value) == A_MOMENT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("90s", 90), ("10m", 600), ("24h", 86400), ("1.5d", 129600)],
)
def test_a_time_to_live_is_a_duration(text: str, seconds: float) -> None:
    one = command(timeToLive=text)
    assert one.time_to_live == seconds
    assert one.seconds_left(NOW) == seconds


@pytest.mark.parametrize("value", ["10", "10 m", "-1m", "", "1w", "1e3s", 10, True, ["10m"], {}])
def test_anything_else_is_no_duration(value: object) -> None:
    assert refusal(timeToLive=value) == A_DURATION


@pytest.mark.parametrize("value", ["0", 0, "0s", "0.0m"])
def test_no_time_at_all_is_refused(value: object) -> None:
    assert refusal(timeToLive=value) == f"{A_DURATION}, above zero"


def test_more_than_ten_years_are_refused() -> None:
    assert refusal(timeToLive="3651d") == f"{A_DURATION}, at most 3650d"


def test_the_earlier_end_wins() -> None:
    in_an_hour = (NOW + timedelta(hours=1)).isoformat()
    assert command(expiresAt=in_an_hour, timeToLive="10m").seconds_left(NOW) == 600
    assert command(expiresAt=in_an_hour, timeToLive="2h").seconds_left(NOW) == 3600


def test_a_moment_in_the_past_is_taken_and_leaves_no_time() -> None:
    """It makes every delivery a failure, and is no bad request."""
    one = command(expiresAt="2020-01-01T00:00:00Z", timeToLive="10m")
    left = one.seconds_left(NOW)
    assert left is not None
    assert left < 0


@pytest.mark.slow
@given(
    st.datetimes(timezones=st.timezones() | st.just(UTC)),
    st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours))),
)
def test_no_moment_is_too_odd(moment: datetime, zone: timezone) -> None:
    one = command(expiresAt=moment.replace(tzinfo=zone).isoformat())
    assert isinstance(one.seconds_left(NOW), float)


def test_times_and_priority_do_not_excuse_what_is_missing() -> None:
    with pytest.raises(BadCommand, match="recipients, clusters or to is required"):
        parse_send({"channels": ["sms"], "templateId": "t", "timeToLive": "1m"})


@pytest.mark.parametrize("field", ["channels", "recipients", "clusters", "emailAttachments"])
def test_a_list_of_a_million_wrong_items_is_refused_at_its_first(field: str) -> None:
    started = process_time()
    assert refusal(**{field: [1] * 1_000_000}).startswith(f"{field}[0] must be ")
    assert process_time() - started < 0.1


def test_null_counts_as_absent_in_every_field() -> None:
    fields = [field.alias or name for name, field in SendCommand.model_fields.items()]
    nothing = dict.fromkeys(fields, None)
    said = {"channels": ["sms"], "recipients": [], "templateId": "t"}
    assert parse_send({**nothing, **said}) == parse_send(said)


@pytest.mark.parametrize("name", ["emailCarbonCopies", "emailBlindCarbonCopies"])
def test_copies_are_at_most_a_thousand_of_each(name: str) -> None:
    copies = [f"c{number}@x.it" for number in range(1001)]
    whole = {"channels": ["email"], "recipients": [], "messageTitle": "T", "messageContent": "C"}
    parse_send({**whole, name: copies[:1000]})
    with pytest.raises(BadCommand, match=f"{name} must hold at most 1,000 addresses"):
        parse_send({**whole, name: copies})
    # What was accepted before there was a limit goes on.
    assert recorded_send({**whole, name: copies}).model_dump(by_alias=True)[name] == copies
