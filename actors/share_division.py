"""Who should have how much of a pool: max-min fair by what each wants, in whole calls.

Nobody gets more than they want as long as somebody else gets less than they want and less than
they do (progressive filling: Bertsekas and Gallager, Data Networks, 6.5.2). What nobody wants is
divided equally, so that whoever comes next need not ask first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

PLENTY: Final = 10
"""From so many calls for each on, one of them is kept for everybody who wants none now."""


def divide(total: int, wants: Mapping[str, int], turn: int) -> Mapping[str, int]:
    """So much for each; the whole of `total` together, where there is anybody.

    Calls that do not divide go to the first of those who want them, which is another one with each
    `turn`. Every replica that sees the same wants comes to the same result.
    """
    order = _rotated(sorted(wants), turn)
    least = 1 if total >= PLENTY * len(order) else 0
    asked = {name: max(wants[name], least) for name in order}
    given = dict.fromkeys(order, 0)
    left = max(0, total)
    left = _fill(given, left, asked)
    _fill(given, left, dict.fromkeys(order, total))
    return given


def _fill(given: dict[str, int], left: int, most: Mapping[str, int]) -> int:
    """Give everybody as much as anybody, up to the `most` of each; what is left over."""
    open_ones = [name for name in given if given[name] < most[name]]
    while left and open_ones:
        part = max(1, left // len(open_ones))
        for name in open_ones:
            more = min(part, most[name] - given[name], left)
            given[name] += more
            left -= more
        open_ones = [name for name in open_ones if given[name] < most[name]]
    return left


def _rotated(names: Sequence[str], turn: int) -> Sequence[str]:
    first = turn % len(names) if names else 0
    return [*names[first:], *names[:first]]
