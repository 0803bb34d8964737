"""A collection of the stand-in CRUD Service: its rules for queries, and mongomock behind them.

The rules are those of crud-service 7.2.5 as contracts 1.1 states them, with its error messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import count
from typing import Any, Final, Literal

import mongomock

from carillon.messages.model import Document, JsonValue

FieldType = Literal["ObjectId", "string", "number", "boolean", "Array", "RawObject"]

_USUAL: Final[dict[str, FieldType]] = {
    "_id": "ObjectId",
    "creatorId": "string",
    "createdAt": "string",
    "updaterId": "string",
    "updatedAt": "string",
    "__STATE__": "string",
    "emailAddress": "string",
    "phoneNumber": "string",
    "deviceToken": "string",
    "clusters": "Array",
}
_OPERATORS: Final = frozenset(
    {"$gt", "$lt", "$gte", "$lte", "$eq", "$ne", "$in", "$nin", "$all", "$exists"}
    | {"$nearSphere", "$regex", "$options", "$elemMatch", "$size"}
)
_PARAMETERS: Final = frozenset({"_q", "_l", "_sk", "_s", "_p", "_rawp", "_st"})
_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")
_DEFAULT_LIMIT: Final = "25"


class BadRequest(Exception):
    """A query that the service refuses; the text is its message."""


class Collection:
    """Documents with declared fields. A document added is seen at once, in its state."""

    def __init__(
        self,
        name: str,
        *,
        string_ids: bool = False,
        any_id: bool = False,
        fields: Mapping[str, FieldType] | None = None,
        maximum: int = 200,
    ) -> None:
        self.name = name
        self._any_id = any_id
        self._fields: dict[str, FieldType] = {**_USUAL, **(fields or {})}
        if string_ids:
            self._fields["_id"] = "string"
        self._maximum = maximum
        self._numbers = count(1)
        client: mongomock.MongoClient[Document] = mongomock.MongoClient()
        self._documents = client.db[name]

    def add(self, document: Document, state: str = "PUBLIC") -> str:
        """Store a document; without `_id` it gets the next ObjectId. Returns the `_id`."""
        stored: Document = {"_id": f"{next(self._numbers):024x}", **document, "__STATE__": state}
        for name, value in stored.items():
            self._fields.setdefault(name, _type_of(value))
        key = str(stored["_id"])
        if self._fields["_id"] == "ObjectId" and not self._any_id and not _is_object_id(key):
            message = f"{key!r} is no ObjectId: pass string_ids=True"
            raise ValueError(message)
        stored["_id"] = self._cast_id(key)
        self._documents.insert_one(stored)
        return str(stored["_id"])

    def publish(self, document_id: str, state: str = "PUBLIC") -> None:
        """Move a document to a state."""
        self._documents.update_one({"_id": document_id}, {"$set": {"__STATE__": state}})

    def document(self, document_id: str) -> Document | None:
        """A PUBLIC document. A malformed id is searched as a string `_id`, not refused."""
        found: Document | None = self._documents.find_one(
            {"_id": self._cast_id(document_id), "__STATE__": "PUBLIC"}
        )
        return found

    def find(self, parameters: Mapping[str, str]) -> list[Document]:
        """A page of a list.

        Raises:
            BadRequest: a parameter, a field, an operator or an id that the service refuses.
            json.JSONDecodeError: `_q` is malformed; the real service throws without a status.
        """
        self._check_parameters(parameters)
        conditions: list[JsonValue] = []
        if "_q" in parameters:
            conditions.append(self._cast(json.loads(parameters["_q"])))
        plain = {key: value for key, value in parameters.items() if key not in _PARAMETERS}
        conditions += [self._cast({key: value}) for key, value in plain.items()]
        states: list[JsonValue] = list(parameters.get("_st", "PUBLIC").split(","))
        query = {"$and": [*conditions, {"__STATE__": {"$in": states}}]}
        found = self._documents.find(query, _projection(parameters))
        if "_s" in parameters:
            found = found.sort(_order(parameters["_s"]))
        limit = int(parameters.get("_l", _DEFAULT_LIMIT))
        return list(found.skip(int(parameters.get("_sk", "0"))).limit(limit))

    def _check_parameters(self, parameters: Mapping[str, str]) -> None:
        for key in parameters:
            known = key in self._fields and self._fields[key] not in ("Array", "RawObject")
            if key not in _PARAMETERS and not known:
                raise BadRequest(
                    "querystring must NOT have additional properties. "
                    f'Property "{key}" is not defined in validation schema'
                )
        if "_p" in parameters and "_rawp" in parameters:
            raise BadRequest("Use of both _rawp and _p parameter is not allowed")
        _check_number(parameters, "_l", 1, self._maximum)
        _check_number(parameters, "_sk", 0, None)

    def _cast(self, query: JsonValue) -> JsonValue:
        """The query with its ids cast, as QueryParser.traverse does it."""
        if not isinstance(query, dict):
            raise BadRequest("Invalid query")
        return {key: self._cast_field(key, value) for key, value in query.items()}

    def _cast_field(self, key: str, value: JsonValue) -> JsonValue:
        if key in ("$and", "$or") and isinstance(value, list):
            return [self._cast(item) for item in value]
        if key.startswith("$"):
            raise BadRequest(f"Unknown operator: {key}")
        kind = self._fields.get(key.split(".", maxsplit=1)[0])
        if kind in ("Array", "RawObject"):
            return value
        if key not in self._fields:
            raise BadRequest(f"Unknown field: {key}")
        if not isinstance(value, dict):
            return _cast_value(kind, value)
        for operator in value:
            if operator not in _OPERATORS:
                raise BadRequest(f"Unsupported operator: {operator}")
        return {operator: _cast_value(kind, operand) for operator, operand in value.items()}

    def _cast_id(self, document_id: str) -> str:
        hexadecimal = self._fields["_id"] == "ObjectId" and _is_object_id(document_id)
        return document_id.lower() if hexadecimal else document_id


def _is_object_id(value: JsonValue) -> bool:
    return isinstance(value, str) and _OBJECT_ID.fullmatch(value) is not None


def _cast_value(kind: FieldType | None, value: JsonValue) -> JsonValue:
    """One bad id makes the whole query a 400."""
    if kind != "ObjectId" or value is None or isinstance(value, bool):
        return value
    if isinstance(value, list):
        return [_cast_value(kind, item) for item in value]
    if not isinstance(value, str) or not _is_object_id(value):
        raise BadRequest("Invalid objectId")
    return value.lower()


def _type_of(value: JsonValue) -> FieldType:
    if isinstance(value, list):
        return "Array"
    if isinstance(value, dict):
        return "RawObject"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"


def _check_number(parameters: Mapping[str, str], key: str, least: int, most: int | None) -> None:
    text = parameters.get(key)
    if text is None:
        return
    if not re.fullmatch(r"-?\d+", text):
        raise BadRequest(f"querystring/{key} must be integer")
    if int(text) < least:
        raise BadRequest(f"querystring/{key} must be >= {least}")
    if most is not None and int(text) > most:
        raise BadRequest(f"querystring/{key} must be <= {most}")


def _order(text: str) -> list[tuple[str, int]]:
    return [(name.lstrip("-"), -1 if name.startswith("-") else 1) for name in text.split(",")]


def _projection(parameters: Mapping[str, str]) -> dict[str, Any] | None:
    if "_rawp" in parameters:
        projection: dict[str, Any] = json.loads(parameters["_rawp"])
        return projection
    names = parameters.get("_p", "")
    return dict.fromkeys(["_id", *names.split(",")], 1) if names else None
