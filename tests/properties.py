"""How many examples a property is tried on: some at each run of CI, very many at night."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, settings

NIGHTLY: Final = "nightly"
TIMES_AT_NIGHT: Final = 10
_DEFAULT: Final = 100  # hypothesis's own


def register_profiles() -> None:
    """Make the profiles `ci`, which holds from here on, and `nightly`, and load the first.

    What a machine is busy with besides says nothing about the code: no example has a deadline.
    `--hypothesis-profile nightly` chooses the other.
    """
    settings.register_profile(
        "ci",
        max_examples=_DEFAULT,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.register_profile(
        NIGHTLY, settings.get_profile("ci"), max_examples=TIMES_AT_NIGHT * _DEFAULT
    )
    settings.load_profile("ci")


def examples(in_ci: int) -> int:
    """So many examples for `max_examples` in CI, and ten times as many at night."""
    return in_ci * (TIMES_AT_NIGHT if is_nightly() else 1)


def is_nightly() -> bool:
    """Whether this is the long run, which draws examples that no run before it has drawn."""
    return settings.get_current_profile_name() == NIGHTLY
