import pytest

from modelwright.core.errors import UsageError
from modelwright.lake import strings
from modelwright.lake.strings import Strings


def fresh(log):
    """The dictionary as another process sees it."""
    return Strings(log.store, log.schema, log._sequence_of, log._id_at, readonly=False)


def test_numbers_are_given_in_order_and_for_good(log):
    texts = ["DE", "", "x" * 2000, "é", "DE "]
    assert [log.strings.id_of("card", text) for text in texts] == [0, 1, 2, 3, 4]
    again = fresh(log)
    assert [again.find("card", text) for text in texts] == [0, 1, 2, 3, 4]
    assert [again.text_of("card", number) for number in range(5)] == texts
    assert again.find("card", "FR") is None
    assert again.id_of("card", "FR") == 5 == log.strings.find("card", "FR")


def test_numbers_of_an_aborted_transaction_are_forgotten(log):
    with pytest.raises(ZeroDivisionError), log.write():
        assert log.strings.id_of("card", "gone") == 0
        assert log.strings.find("card", "gone") == 0
        assert log.strings.text_of("card", 0) == "gone"
        _ = 1 / 0
    assert log.strings.find("card", "gone") is None
    with log.write():
        assert log.strings.id_of("card", "kept") == 0
    assert log.strings.text_of("card", 0) == fresh(log).text_of("card", 0) == "kept"


def test_an_events_own_id_is_numbered_by_its_sequence(log, pay):
    assert log.strings.id_of("pid", "p7") == -1
    with log.write() as writer:
        pay(writer, 6)
        pay(writer, 7)
        assert log.strings.id_of("pid", "p7") == 2
        assert log.strings.text_of("pid", 2) == "p7"
        with pytest.raises(UsageError, match="3"):
            log.strings.text_of("pid", 3)
    assert (log.strings.find("pid", "p7"), log.strings.find("pid", "p8")) == (2, None)
    log.drain()
    assert log.strings.text_of("pid", 2) == "p7"


def test_a_full_cache_forgets_nothing(log, monkeypatch):
    monkeypatch.setattr(strings, "CACHED", 3)
    assert log.strings.ids_of("card", [f"t{i}" for i in range(10)]) == list(range(10))
    assert [log.strings.id_of("card", f"t{i}") for i in range(10)] == list(range(10))
    assert len(log.strings._cache) <= 3


def test_what_is_not_there_is_refused(log):
    with pytest.raises(UsageError, match="99"):
        log.strings.text_of("card", 99)
    with pytest.raises(UsageError, match="99"):
        log.strings.text_of("pid", 99)
    with pytest.raises(UsageError, match="'amount' is no column of strings"):
        log.strings.id_of("amount", "x")
