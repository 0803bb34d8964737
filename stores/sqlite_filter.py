"""A filter of deliveries as conditions in SQL."""

from __future__ import annotations

from carillon.messages.ports.records import RecordFilter


def conditions(wanted: RecordFilter) -> tuple[str, list[str]]:
    """Conditions, each begun with AND, and the values for their places."""
    text, values = "", list[str]()
    for column, found in (("outcome", wanted.outcomes), ("reason", wanted.reasons)):
        if found:
            text += f" AND {column} IN ({', '.join('?' * len(found))})"
            values += found
    for column, value in (
        ("channel", wanted.channel),
        ("user_id", wanted.user_id),
        ("provider", wanted.provider),
    ):
        if value is not None:
            text += f" AND {column} = ?"
            values.append(value)
    return text, values
