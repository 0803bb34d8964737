"""How much one template may cost, and the default for each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for compiling and rendering one template; passing one raises its own error.

    A step is one rendered block body (so one item of an `each`), one partial call, one list
    element made into text, or four plain tags; a helper call is two. Helpers that make much out of
    little, or take their time, charge steps of their own. Parentheses may nest a quarter as deep
    as blocks.
    """

    template_bytes: int = 262_144
    nesting: int = 200
    steps: int = 200_000
    output_bytes: int = 10_000_000
    partial_depth: int = 80
