"""The client of MongoDB: what stops a start, and what no text may show."""

from __future__ import annotations

import socket

import pytest
from pymongo import ReadPreference, WriteConcern

from carillon.stores.errors import StoreError
from carillon.stores.mongodb.client import (
    ABOUT,
    SCHEMA_VERSION,
    connect,
    connected,
    disconnect,
    prepare,
)
from carillon.stores.mongodb.url import MongoUrl, mongodb_url


@pytest.mark.servers
def test_a_new_database_gets_the_schema_and_keeps_it(mongodb: MongoUrl) -> None:
    with connected(mongodb) as client:
        for _ in range(2):
            prepare(client, mongodb, {})
        found = client[mongodb.database][ABOUT].find_one({"_id": "schema"})
    assert found == {"_id": "schema", "version": SCHEMA_VERSION}


@pytest.mark.servers
def test_a_newer_store_is_not_touched(mongodb: MongoUrl) -> None:
    with connected(mongodb) as client:
        newer = {"_id": "schema", "version": SCHEMA_VERSION + 1}
        client[mongodb.database][ABOUT].insert_one({**newer})
        with pytest.raises(StoreError, match=rf"schema {SCHEMA_VERSION + 1}, made by a newer"):
            prepare(client, mongodb, {})
        assert client[mongodb.database][ABOUT].find_one({"_id": "schema"}) == newer


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        url = mongodb_url(f"mongodb://ada:hunter2@127.0.0.1:{port}/shop?authSource=secret")
        with connected(url) as client, pytest.raises(StoreError) as raised:
            prepare(client, url, {}, within=0.5)
    assert f"mongodb://127.0.0.1:{port}/shop cannot be used: no server" in str(raised.value)
    assert "0.5 seconds" in str(raised.value)
    for text in (str(raised.value), repr(url), str(url)):
        assert "hunter2" not in text
        assert "ada" not in text


def test_what_durability_needs_no_option_takes_away() -> None:
    url = mongodb_url(
        "mongodb://host/db?w=1&journal=false&retryWrites=false&readPreference=secondary"
    )
    client = connect(url)
    disconnect(client)
    assert client.write_concern == WriteConcern("majority", j=True)
    assert client.read_preference == ReadPreference.PRIMARY
    assert client.options.retry_writes


@pytest.mark.parametrize(
    "text",
    [
        "mongodb://a:p%40ss@h:99999/db",
        "mongodb://h/db?maxPoolSize=-1",
        "mongodb://h/db?notAnOption=1",
    ],
)
def test_a_url_the_driver_does_not_take_is_not_shown(text: str) -> None:
    with pytest.raises(StoreError) as raised:
        connect(mongodb_url(text))
    assert "p%40ss" not in str(raised.value)
    assert "STORE_URL" in str(raised.value)
