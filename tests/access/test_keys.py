from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.access import keys
from carillon.access.keys import ApiKey, KeyRing, draw_key


def test_a_key_is_an_id_and_256_random_bits() -> None:
    token, key = draw_key("shop", ["send"])
    other, _ = draw_key("shop", ["send"])
    assert re.fullmatch(r"shop\.[A-Za-z0-9_-]{43}", token)
    assert token != other
    assert (key.id, {*key.scopes}, key.expires_at) == ("shop", {"send"}, None)


def test_a_key_without_a_name_draws_one() -> None:
    token, key = draw_key(None, ["send"])
    assert re.fullmatch(r"[0-9a-f]{8}", key.id)
    assert token.startswith(f"{key.id}.")


def test_what_is_kept_is_the_hash_of_salt_and_secret() -> None:
    token, key = draw_key("shop", ["send"])
    secret = token.partition(".")[2]
    assert key.hash == hashlib.sha256(key.salt + secret.encode()).digest()
    assert secret not in repr(key)
    assert key.hash.hex() not in repr(key)
    assert draw_key("shop", ["send"])[1].salt != key.salt


def test_a_key_is_found_by_what_its_owner_sends() -> None:
    token, key = draw_key("shop", ["send"])
    other_token, other = draw_key("desk", ["read"])
    ring = KeyRing([key, other])
    assert ring.find(token) == key
    assert ring.find(other_token) == other
    assert ring.find(token.replace("shop", "desk")) is None
    assert ring.find(token.swapcase()) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "shop",
        "shop.",
        "shop.short",
        ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "shop.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "shop.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "shöp.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "shop.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA٣",
        "shop.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    ],
)
def test_what_is_no_key_is_found_nowhere(token: str) -> None:
    assert KeyRing([draw_key("shop", ["send"])[1]]).find(token) is None


@pytest.mark.slow
@given(st.text())
def test_no_text_breaks_the_search(token: str) -> None:
    assert KeyRing([draw_key("shop", ["send"])[1]]).find(token) is None


def test_unknown_ids_and_wrong_secrets_cost_the_same_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, int]] = []
    honest = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return honest(one, other)

    monkeypatch.setattr("carillon.access.keys.hmac.compare_digest", compare)
    token, key = draw_key("shop", ["send"])
    wrong = draw_key("shop", ["send"])[0]
    unknown = draw_key("stranger", ["send"])[0]
    ring = KeyRing([key])
    assert [ring.find(each) for each in (token, wrong, unknown)] == [key, None, None]
    assert compared == [(32, 32)] * 3


def test_several_keys_are_valid_while_one_takes_the_place_of_another() -> None:
    old_token, old = draw_key("shop-1", ["send"])
    new_token, new = draw_key("shop-2", ["send"])
    ring = KeyRing([old])
    ring.replace([old, new])
    assert (ring.find(old_token), ring.find(new_token)) == (old, new)
    ring.replace([new])
    assert (ring.find(old_token), ring.find(new_token)) == (None, new)


def test_a_ring_that_locks_never_opens_again() -> None:
    token, key = draw_key("shop", ["send"])
    ring = KeyRing([key])
    with pytest.raises(ValueError, match="no key is left"):
        ring.replace([])
    assert not ring.is_empty
    assert ring.find(token) == key


def test_an_id_belongs_to_one_key() -> None:
    twice = [draw_key("shop", ["send"])[1], draw_key("shop", ["read"])[1]]
    with pytest.raises(ValueError, match="two keys have the id shop"):
        KeyRing(twice)
    ring = KeyRing(twice[:1])
    with pytest.raises(ValueError, match="two keys have the id shop"):
        ring.replace(twice)


def test_scopes_stand_alone_but_for_reading() -> None:
    def may(key: ApiKey) -> set[str]:
        return {scope for scope in keys.SCOPES if key.may(scope)}

    assert may(draw_key("a", ["send"])[1]) == {"send"}
    assert may(draw_key("a", ["read"])[1]) == {"read"}
    assert may(draw_key("a", ["operate"])[1]) == {"operate", "read"}
    assert may(draw_key("a", ["send", "read"])[1]) == {"send", "read"}


def test_a_key_ends_at_its_time() -> None:
    _, key = draw_key("a", ["send"], expires_at=100.0)
    assert [key.has_expired(now) for now in (99.9, 100.0, 101.0)] == [False, True, True]


def test_a_caller_weighs_what_its_key_says_and_others_one() -> None:
    _, heavy = draw_key("shop", ["send"], weight=3)
    ring = KeyRing([heavy])
    assert [ring.weight(name) for name in ("shop", "anonymous", "gone", "")] == [3, 1, 1, 1]
    ring.replace([draw_key("shop", ["send"], weight=5)[1]])
    assert ring.weight("shop") == 5


def test_an_audit_tells_of_a_weight_that_changed() -> None:
    _, key = draw_key("shop", ["send"])
    before, after = keys.changes_of_keys({"shop": key}, {"shop": replace(key, weight=3)})
    assert (before, after) == ({"apiKeys.shop": "send"}, {"apiKeys.shop": "send, weight 3"})
