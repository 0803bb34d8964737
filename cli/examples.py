"""Examples at the end of a help page, kept as they are written."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """The text for click's `epilog`; the control character stops it from wrapping the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
