"""The bytes of the configuration file as JSON, or one sentence about why they are none."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from carillon.messages.json_keys import Place, marking_repeated, repeated_keys
from carillon.messages.model import JsonValue
from carillon.settings.errors import Problems
from carillon.settings.file.opening import read_start

LARGEST_FILE: Final = 1_048_576
_DEEPEST: Final = 50
REPEATED: Final = "stands there twice; once is allowed"
"""What is wrong with such a key."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read_file(path: Path, problems: Problems) -> JsonValue:
    """The value that the file holds, without keys that are null; None where it holds none."""
    try:
        content = read_start(path, LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        problems.refuse(("CONFIGURATION_PATH",), str(path), f"a file that can be read ({reason})")
        return None
    try:
        value, repeated = parse(content)
    except ValueError as error:
        problems.add((str(path),), str(error))
        return None
    for place in repeated:
        problems.add(place, REPEATED)
    return value


def parse(content: bytes) -> tuple[JsonValue, Sequence[Place]]:
    """The value of a JSON text, and where in it a key stands twice, which is `REPEATED`.

    Raises:
        ValueError: With the reason, and line and column where there are some.
    """
    if len(content) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE} bytes")
    try:
        value: JsonValue = json.loads(
            content.decode("utf-8-sig"),
            parse_constant=_no_constant,
            object_pairs_hook=marking_repeated,
        )
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: not UTF-8") from None
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"{at}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {_DEEPEST} levels") from None
    return without_nulls(value), repeated_keys(value)


def without_nulls(value: JsonValue, depth: int = 1) -> JsonValue:
    """The value with every key left out that is null: such a key counts as not written.

    Raises:
        ValueError: For what no configuration holds: endless nesting, lone surrogates.
    """
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST} levels")
    if isinstance(value, str) and _SURROGATE.search(value):
        raise ValueError("a text holds half of a surrogate pair")
    if isinstance(value, list):
        return [without_nulls(item, depth + 1) for item in value]
    if isinstance(value, dict):
        without_nulls([*value], depth)
        return {k: without_nulls(v, depth + 1) for k, v in value.items() if v is not None}
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"not JSON: {name} is no number")
