from __future__ import annotations

import pytest
from pydantic import JsonValue

from carillon.cli.failure import BadInput
from carillon.cli.providers.words import differences, patch_of, worded
from carillon.messages.model import Document

IN_FORCE: dict[str, JsonValue] = {
    "concurrency": 20,
    "quota": None,
    "retry": {"attempts": 8, "firstDelay": "500ms", "maxDelay": "1m"},
    "breaker": {"failures": 10, "cooldown": "30s"},
}


@pytest.mark.parametrize(
    ("words", "patch"),
    [
        ("concurrency=5", {"concurrency": 5}),
        ("rate=100/1m", {"rate": [{"limit": 100, "per": "1m"}]}),
        (
            "rate=100/1m,10/1.5s",
            {"rate": [{"limit": 100, "per": "1m"}, {"limit": 10, "per": "1.5s"}]},
        ),
        ("rate=none", {"rate": []}),
        ("quota=1000", {"quota": {"limit": 1000}}),
        ("quota=1000@06:00", {"quota": {"limit": 1000, "resetAt": "06:00"}}),
        (
            "quota=1000@06:00/America/Argentina/Salta",
            {
                "quota": {
                    "limit": 1000,
                    "resetAt": "06:00",
                    "zone": "America/Argentina/Salta",
                }
            },
        ),
        ("timeout=10s weight=3", {"timeout": "10s", "weight": 3}),
        ("retry.attempts=3", {"retry": {"attempts": 3, "firstDelay": "500ms", "maxDelay": "1m"}}),
        (
            "retry.attempts=3 retry.firstDelay=1s",
            {"retry": {"attempts": 3, "firstDelay": "1s", "maxDelay": "1m"}},
        ),
        ("breaker=closed", {"breaker": "closed"}),
        ("breaker.failures=3", {"breaker": {"failures": 3, "cooldown": "30s"}}),
        ("quota.limit=7", {"quota": {"limit": 7}}),
        ("onUnknownOutcome=retry", {"onUnknownOutcome": "retry"}),
        ("paused=true draining=no", {"paused": True, "draining": False}),
        ("rate=default retry=default", {"rate": None, "retry": None}),
        ("timeout=soon concurrency=many", {"timeout": "soon", "concurrency": "many"}),
    ],
)
def test_assignments_become_a_patch(words: str, patch: JsonValue) -> None:
    assert patch_of(words.split(), IN_FORCE) == patch


def test_a_quota_keeps_the_reset_that_it_does_not_name() -> None:
    quota: Document = {"limit": 10, "resetAt": "06:00", "zone": "Europe/Rome"}
    assert patch_of(["quota=20"], {"quota": quota}) == {"quota": {**quota, "limit": 20}}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("concurrency", "concurrency is no assignment such as concurrency=5"),
        ("concurency=5", 'concurency cannot be set; did you mean "concurrency"?'),
        ("retry.attemps=3", 'retry.attemps cannot be set; did you mean "retry.attempts"?'),
        ("timeout.read=3s", "timeout.read cannot be set"),
        ("rate=100", "rate=100 is not possible; say LIMIT/TIME as in rate=100/1m,10/1s"),
        ("rate=100/1m,", "rate= is not possible"),
        ("quota=none", "a quota that was set goes with quota=default"),
        ("quota=1000/d", "quota=1000/d is not possible; say LIMIT"),
        ("retry=3", "retry=3 is not possible; say for example retry.attempts=3"),
        ("retry.attempts=default", "retry=default removes the whole override"),
        ("breaker=open", "breaker can only be closed by hand"),
        ("paused=1", "paused=1 is not possible; it is true or false"),
        ("rate=1/1s rate=none", "rate is set twice"),
        ("retry.attempts=3 retry.attempts=4", "retry is set twice"),
        ("breaker=closed breaker.failures=3", "breaker is set twice"),
        ("breaker.failures=3 breaker=closed", "breaker is set twice"),
    ],
)
def test_what_is_no_assignment_is_refused_with_the_fix(words: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        patch_of(words.split(), IN_FORCE)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "assignment",
    [
        "concurrency=5",
        "rate=100/1m,10/1.5s",
        "rate=none",
        "quota=1000@06:00/Europe/Rome",
        "timeout=10s",
        "onUnknownOutcome=hold",
        "paused=true",
    ],
)
def test_what_is_shown_can_be_set(assignment: str) -> None:
    [(key, value)] = patch_of([assignment], {}).items()
    assert f"{key}={worded(key, value)}" == assignment


def test_objects_are_shown_by_their_parts() -> None:
    assert worded("retry", IN_FORCE["retry"]) == "attempts 8, firstDelay 500ms, maxDelay 1m"


def test_only_what_is_another_is_told() -> None:
    before = {"rate": "none", "timeout": "30s", "weight": "1"}
    after = {"rate": "1/1s", "timeout": "30s", "paused": "true"}
    assert differences(before, after) == [
        "rate: none -> 1/1s",
        "weight: 1 -> none",
        "paused: none -> true",
    ]
