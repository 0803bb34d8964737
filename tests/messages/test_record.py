from dataclasses import replace

from carillon.messages.model import Accepted, Receipt
from carillon.messages.ports.journal import Enrolment


def test_records_compare_and_hash_by_what_they_hold() -> None:
    one, same = Enrolment("sms", "user/1", "1"), Enrolment("sms", "user/1", "1")
    assert one == same
    assert len({one, same, replace(one, key="user/2")}) == 2
    assert Accepted("m", 200) == Accepted("m", 202), "a field that is not compared"
    assert hash(Accepted("m", 200)) == hash(Accepted("m", 202))


def test_records_have_no_place_for_what_they_do_not_declare() -> None:
    receipt = Receipt("i", "d", "sms", "user/1", "1", "sent", "accepted")
    assert not hasattr(receipt, "__dict__")
    assert "user/1" not in repr(receipt)
