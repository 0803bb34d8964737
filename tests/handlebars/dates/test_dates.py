"""dateNow, dateFormat and toLocale: clocks, odd dates, zones, countries."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from carillon.handlebars import Engine, standard_helpers

NOW = datetime(2024, 2, 29, 13, 5, 9, 7_000, tzinfo=UTC)


def render(source: str, value: object = None, engine: Engine | None = None) -> str:
    return (engine or Engine()).compile(source).render({"v": value})


def test_the_clock_can_be_given() -> None:
    engine = Engine(standard_helpers(now=lambda: NOW))
    assert render("{{dateNow}}", engine=engine) == "2024-02-29T13:05:09.007Z"
    assert render("{{dateFormat missing format='HH:mm:ss.SSS'}}", engine=engine) == "13:05:09.007"
    assert render("{{dateFormat v}}", engine=engine) == "Invalid Date"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NOW, "2024-02-29 13:05 +00:00"),
        (NOW.replace(tzinfo=None), "2024-02-29 13:05 +00:00"),
        (NOW.astimezone(timezone(timedelta(hours=2))), "2024-02-29 13:05 +00:00"),
        ("2024-02-29T13:05:09.007+02:00", "2024-02-29 11:05 +00:00"),
        ("Feb 29, 2024 1:05 PM GMT+2", "2024-02-29 11:05 +00:00"),
        ("Thu Feb 29 2024 13:05:09 GMT+0100 (CET)", "2024-02-29 12:05 +00:00"),
        ("2024-02-31", "2024-03-02 00:00 +00:00"),
        ("2024-02-31T00:00:00Z", "2024-03-02 00:00 +00:00"),
        ("24:00 1/2/2024", "2024-01-03 00:00 +00:00"),
        ("+012345-01-01", "12345-01-01 00:00 +00:00"),
        (8.64e15, "275760-09-13 00:00 +00:00"),
        (8.65e15, "Invalid Date"),
        (float("nan"), "Invalid Date"),
        ("29.02.2024", "Invalid Date"),
        ("9" * 5000, "Invalid Date"),
        ({}, "Invalid Date"),
    ],
)
def test_dates_are_read_as_day_js_reads_them(value: object, text: str) -> None:
    assert render("{{{dateFormat v format='YYYY-MM-DD HH:mm Z'}}}", value) == text


@pytest.mark.parametrize(
    ("value", "zone", "text"),
    [
        ("2024-10-27T00:59:59Z", "Europe/Rome", "2024-10-27T02:59:59+02:00"),
        ("2024-10-27T01:00:00Z", "europe/ROME", "2024-10-27T02:00:00+01:00"),
        ("2024-01-01T00:00:00Z", "Europe/London", "2024-01-01T00:00:00Z"),
        ("1850-01-01T00:00:00Z", "America/New_York", "1849-12-31T19:03:58-04:56.03333333333336"),
        (-1, "UTC", "1969-12-31T23:59:59-00:01"),
        (253402300799000, "Europe/Rome", "10000-01-01T00:59:59+01:00"),
    ],
)
def test_zones_shift_as_day_js_shifts(value: object, zone: str, text: str) -> None:
    assert render(f"{{{{{{dateFormat v tz='{zone}'}}}}}}", value) == text


def test_the_tokens_of_plugins_are_text_unless_they_are_asked_for() -> None:
    source = "{{dateFormat v format='Do Q [W]W z'}}"
    assert render(source, NOW) == "29o Q WW z"
    assert render(source, NOW, Engine(standard_helpers(date_plugins=True))) == "29th 1 W9 UTC"


@pytest.mark.parametrize(
    ("value", "locale", "text"),
    [
        (1234.5, "it-IT", "1234,5"),
        (12345, "it-CH", "12'345"),
        (1234567.8915, "hi-IN", "12,34,567.892"),
        (-1234.5, "sv-SE", "\u22121\xa0234,5"),
        (1234, "ar-EG-u-nu-latn", "1,234"),
        (1234, "xx-XX", "1,234"),
        (True, "de", "true"),
        (float("inf"), "de", "∞"),
        (1e21, "de-DE", "1.000.000.000.000.000.000.000"),
        (NOW, "de-DE", "29.2.2024, 13:05:09"),
        (NOW, "fr-FR", "29/02/2024 13:05:09"),
        (NOW, "en-US", "2/29/2024, 1:05:09 PM"),
    ],
)
def test_numbers_and_dates_are_written_as_countries_do(
    value: object, locale: str, text: str
) -> None:
    assert render(f"{{{{{{toLocale v '{locale}'}}}}}}", value) == text


def test_a_template_that_names_no_locale_gets_the_engines() -> None:
    assert render("{{toLocale v}}", 12345.5) == "12,345.5"
    assert render("{{toLocale v}} {{toLocale v 'en'}}", 12345.5, Engine(locale="de-DE")) == (
        "12.345,5 12,345.5"
    )
    with pytest.raises(ValueError, match="no language tag"):
        Engine(locale="de_DE")
