"""Which URLs name a MongoDB, and what of them is shown."""

from __future__ import annotations

import pytest

from carillon.stores.mongodb.url import mongodb_url


@pytest.mark.parametrize(
    ("text", "database", "shown"),
    [
        ("mongodb://host", "carillon", "mongodb://host/carillon"),
        ("mongodb://host/", "carillon", "mongodb://host/carillon"),
        ("mongodb://host/?tls=true", "carillon", "mongodb://host/carillon"),
        ("mongodb://u:p@a:1,b:2/shop?replicaSet=rs", "shop", "mongodb://a:1,b:2/shop"),
        ("mongodb://u:p%40%2F@[::1]:27017/shop", "shop", "mongodb://[::1]:27017/shop"),
        ("mongodb+srv://u:p@c.example/x_1-2", "x_1-2", "mongodb+srv://c.example/x_1-2"),
    ],
)
def test_a_database_is_named_or_the_default(text: str, database: str, shown: str) -> None:
    url = mongodb_url(text)
    assert (url.text, url.database, url.shown) == (text, database, shown)
    assert "p@" not in repr(url)


@pytest.mark.parametrize(
    "text",
    [
        "mongodb://",
        "mongodb:///db",
        "mongodb://host/a.b",
        "mongodb://host/a/b",
        "mongodb://host/" + "x" * 64,
        "mongodb://user:hunter2@/db",
        "mongodb://user:hunter/2@host/db",
        "mongodb://user:hunter2 @host/db",
        "mongodb://ho st/db",
        "mongodb://host/db#x",
        "mongodb://host:port/db",
        "mongodb+srv://host:1/db",
        "mongodb+srv://a,b/db",
        "mongo://host/db",
        "mongodb://host/?x=" + "y" * 5000,
    ],
)
def test_what_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="mongodb") as raised:
        mongodb_url(text)
    assert "hunter" not in str(raised.value)
