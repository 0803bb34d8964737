"""How much one template may cost, and the default for each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for compiling and rendering one template; passing one raises its own error.

    A step is one rendered block body, one partial call, one list element made into text, or four
    plain tags; an item of an `each` is two, a helper call four. Helpers that make much out of
    little, or take their time, charge steps of their own. Parentheses may nest a quarter as deep
    as blocks. `milliseconds` are of processor time, for one rendering.
    """

    template_bytes: int = 262_144
    nesting: int = 200
    steps: int = 200_000
    output_bytes: int = 10_000_000
    partial_depth: int = 80
    milliseconds: int = 500

    def parts(self, source: str) -> int:
        """How many names, values and pieces of text a template may have.

        One for 16 of the bytes that are allowed, or for 12 characters of its own. Such a one takes
        a quarter of a second to compile, or half a second if all are empty blocks.
        """
        return max(self.template_bytes // 16, len(source) // 12)
