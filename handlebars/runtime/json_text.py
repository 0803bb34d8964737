"""JSON.parse and JSON.stringify."""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

from carillon.handlebars.helpers.units import whole
from carillon.handlebars.runtime.numbers import number_text
from carillon.handlebars.runtime.values import UNDEFINED, keys

_HALF = re.compile("[\ud800-\udfff]")
_UNITS_PER_STEP = 32


def parse(text: str) -> object:
    """Read JSON text.

    Raises:
        ValueError: it is none.
    """
    try:
        parsed: object = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("this JSON is nested too deeply") from None
    return parsed


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def stringify(value: object, indent: str, charge: Callable[[int], None]) -> str | None:
    """Write a value as JSON, or give None for undefined; `charge` is told what that costs."""
    parts: list[str] = []
    if not _write(value, parts, "\n", indent, charge):
        return None
    return "".join(parts)


def iso_text(moment: datetime) -> str:
    """Write a date-time as toISOString does."""
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{utc.year:04}-{utc:%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z"


def _write(
    value: object, parts: list[str], line: str, indent: str, charge: Callable[[int], None]
) -> bool:
    charge(3 + len(line) // _UNITS_PER_STEP if indent else 3)
    if isinstance(value, list | dict):
        inner = line + indent
        comma = f",{inner}" if indent else ","
        if isinstance(value, list):
            _write_list(value, parts, (comma, inner), indent, charge)
        else:
            _write_object(value, parts, (comma, inner), indent, charge)
        if indent and value and parts[-1] not in {"[", "{"}:
            parts.append(line)
        parts.append("]" if isinstance(value, list) else "}")
        return True
    text = _scalar(value)
    parts.append(text or "")
    return text is not None


def _write_list(
    items: list[object],
    parts: list[str],
    between: tuple[str, str],
    indent: str,
    charge: Callable[[int], None],
) -> None:
    comma, inner = between
    parts.append("[")
    for index, item in enumerate(items):
        parts.append(comma if index else inner if indent else "")
        if not _write(item, parts, inner, indent, charge):
            parts.append("null")


def _write_object(
    value: dict[str, object],
    parts: list[str],
    between: tuple[str, str],
    indent: str,
    charge: Callable[[int], None],
) -> None:
    comma, inner = between
    parts.append("{")
    first = True
    for key in keys(value):
        item = value[key]
        if _is_left_out(item):
            continue
        parts.append(inner if indent and first else "" if first else comma)
        parts.append(f"{_quoted(key)}: " if indent else f"{_quoted(key)}:")
        _write(item, parts, inner, indent, charge)
        first = False


def _is_left_out(value: object) -> bool:
    return value is not None and not isinstance(value, str | int | float | list | dict | datetime)


def _scalar(value: object) -> str | None:
    if value is None:
        return "null"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int | float):
        text = number_text(value)
        return "null" if isinstance(value, float) and not math.isfinite(value) else text
    if isinstance(value, datetime):
        return f'"{iso_text(value)}"'
    return None if value is UNDEFINED else "{}"


def _quoted(text: str) -> str:
    quoted = json.dumps(whole(text), ensure_ascii=False)
    if quoted.isascii():
        return quoted
    return _HALF.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
