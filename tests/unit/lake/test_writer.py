import pytest

from modelwright.core.errors import ConflictError, ContractError, UnknownEventError, WorkspaceError
from modelwright.lake.identity import Known
from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow, OutcomeRow, PredictionRow

T0 = 1_700_000_000_000_000


def test_rows_come_back_in_order_with_what_was_written(log, pay):
    with log.write() as writer:
        assert writer.first is writer.last is None
        seq = pay(writer, 1, answer=b"yes")
        writer.prediction(seq, "p1", T0 + 1, T0 + 5, "r1", "champion", True, 0.75, [0.25, 0.75], '{"a":1}')
        assert writer.outcome("p1", False, T0 + 9) == OutcomeRow(3, 1, "p1", False, T0 + 9, True)
        assert (writer.first, writer.last) == (1, 3)
    assert log.head() == 3
    assert log.counts() == {"events": 1, "predictions": 1, "outcomes": 1}
    assert log.tail(0) == [
        EventRow(1, "p1", T0 + 1, True, T0, ["p1", "c", T0 + 1, 1.5, 1, None]),
        PredictionRow(2, 1, "p1", T0 + 1, T0 + 5, "r1", "champion", True, 0.75, [0.25, 0.75], '{"a":1}'),
        OutcomeRow(3, 1, "p1", False, T0 + 9, True),
    ]
    assert log.tail(1, 1) == log.tail(0)[1:2]
    assert log.tail(3) == []


def test_an_id_is_known_with_its_digest_and_answer_at_once_and_later(log, pay):
    with log.write() as writer:
        assert writer.known("p1") is None
        pay(writer, 1)
        assert writer.known("p1") == Known(1, b"d1", None)
        writer.answer("p1", b"one")
        with pytest.raises(ConflictError, match="p1"):
            pay(writer, 1)
    with log.write() as writer:
        assert writer.known("p1") == Known(1, b"d1", b"one")
        writer.answer("p1", b"")
        with pytest.raises(ConflictError, match="p1"):
            pay(writer, 1)
    log.drain()
    with log.write() as writer:
        assert writer.known("p1") == Known(1, b"d1", b"")
        assert writer.event_values("p1") == (1, T0 + 1, ["p1", "c", T0 + 1, 1.5, 1, None])
    assert log.counts()["events"] == 1


def test_an_exception_aborts_everything(log, pay):
    log.history.require([("card",)])
    with pytest.raises(ZeroDivisionError), log.write() as writer:
        pay(writer, 1, card="new")
        log.journal.append("alert", 0, summary="never")
        _ = 1 / 0
    assert (log.head(), log.tail(0), list(log.journal.rows())) == (0, [], [])
    assert log.strings.find("card", "new") is None
    assert len(log.history.load(("card",), ("new",))[0]) == 0
    with log.write() as writer:
        assert pay(writer, 1) == 1


def test_a_repeated_outcome_changes_nothing_and_another_is_a_correction(log, pay):
    with log.write() as writer:
        pay(writer, 1)
        assert writer.outcome("p1", True, T0 + 50)
        assert writer.outcome("p1", True, T0 + 60) is None
    with log.write() as writer:
        assert writer.outcome("p1", True, T0 + 70) is None
        assert writer.last is None
        assert writer.outcome("p1", False, T0 + 80).seq == 3
        assert writer.outcome("p1", True, T0 + 90).seq == 4
    assert [row.value for row in log.tail(1)] == [True, False, True]


def test_an_outcome_is_known_after_its_event(log, pay):
    with log.write() as writer:
        pay(writer, 5)
        assert writer.outcome("p5", True, T0).known_us == T0 + 6


def test_an_outcome_of_no_event_is_refused(log):
    with log.write() as writer, pytest.raises(UnknownEventError, match="p9"):
        writer.outcome("p9", True, T0)


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [(1, 7, "card"), (3, "much", "amount"), (4, 2**63, "n"), (4, 1.5, "n"), (5, 1, "ok"), (2, "now", "at")],
)
def test_a_value_the_tables_could_not_hold_is_refused_with_its_field(log, place, value, field):
    values = ["p1", "c", T0, 1.0, 1, True]
    values[place] = value
    with log.write() as writer, pytest.raises(ContractError, match=field) as caught:
        writer.event("p1", T0, values, digest=b"")
    assert caught.value.field == field


def test_a_row_that_could_not_be_read_back_is_refused(log, pay):
    with log.write() as writer:
        seq = pay(writer, 1)
        with pytest.raises(ContractError, match="cannot hold"):
            writer.prediction(seq, "p1", T0, T0, "r1", "champion", True, None, ["a"])
        with pytest.raises(ContractError, match="fraud"):
            writer.prediction(seq, "p1", T0, T0, "r1", "champion", 0.5)
        with pytest.raises(ContractError, match="fraud"):
            writer.outcome("p1", "yes", T0)
        with pytest.raises(ContractError, match="one time"):
            writer.event("p2", T0, ["p2", "c", T0 + 1, 1.0, 1, True], digest=b"")
    assert log.head() == 1


def test_a_prediction_of_a_whole_label_is_an_amount(workspace, schema, clock, pay):
    from msgspec.structs import replace

    with Log.open(workspace, replace(schema, label="n_items", label_kind="int"), clock) as log, log.write() as writer:
        pay(writer, 1)
        writer.prediction(1, "p1", T0, T0, "r1", "champion", 3.5)
        with pytest.raises(ContractError):
            writer.outcome("p1", 3.5, T0)
        with pytest.raises(ContractError):
            writer.prediction(1, "p1", T0, T0, "r1", "champion", "three")


def test_rows_of_others_are_seen_inside_and_own_ones_are_not(log, workspace, schema, clock, pay):
    with log.write() as writer:
        pay(writer, 1)
        pay(writer, 2)
    log.drain()
    with log.write() as writer:
        pay(writer, 3)
    with log.write() as writer:
        pay(writer, 4)
        assert [row.id for row in writer.rows_since(1)] == ["p2", "p3"]
        assert writer.rows_since(3) == []


def test_a_log_to_read_only_is_not_written(log, workspace, schema, clock, pay):
    with log.write() as writer:
        pay(writer, 1)
    with Log.open(workspace, schema, clock, readonly=True) as reader:
        assert reader.head() == 1
        for forbidden in (
            reader.write,
            reader.drain,
            reader.maintain,
            reader.history.drop,
            lambda: reader.quarantine([]),
            lambda: reader.history.require([()]),
            lambda: reader.strings.id_of("card", "z"),
            lambda: reader.journal.note("k", b""),
            lambda: reader.journal.append("alert", 0, summary=""),
        ):
            with pytest.raises(WorkspaceError, match="read only"):
                forbidden()
