"""Files into a real log: what counts once, what is quarantined and under which number."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from modelwright.core.errors import DataError, WorkspaceError
from modelwright.ingest import readers
from modelwright.ingest.delay import NOTE
from modelwright.ingest.files import Summary, ingest_files
from modelwright.spec import agg
from modelwright.spec.contract import Contract

HEADER = "pid,at,amount\n"
AT = "2026-01-31T12:00:00Z"
T = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def bring(write, contract, label, open_log):
    """Writes files and ingests them into the one log of the test; gives log and summary."""

    def ingest(*files: tuple[str, str], contract: Contract = contract, label=label):
        log = open_log(contract)
        return log, ingest_files(log, contract, label, [write(name, text) for name, text in files])

    return ingest


def quarantine(log) -> list[tuple[str, int, str, str]]:
    rows = log.quarantined().select(["file", "row", "column", "reason"]).to_pylist()
    return [tuple(row.values()) for row in rows]


def test_the_same_file_twice_counts_once(bring):
    text = f"{HEADER}a,{AT},1\nb,{AT},2\n"
    log, first = bring(("a.csv", text))
    assert first == Summary(files=1, rows=2, events=2)
    log, again = bring(("a.csv", text))
    assert again == Summary(files=1, rows=2, duplicates=2)
    log, renamed = bring(("b.csv", text))
    assert (renamed.events, renamed.duplicates) == (0, 2)
    assert log.events()["_id"].to_pylist() == ["a", "b"]


def test_one_row_counts_once_in_whatever_form_it_comes(bring):
    log, _ = bring(("a.csv", f"{HEADER}a,{AT},1\n"))
    same = [
        ("b.csv", "at;amount;pid\n2026-01-31 13:00:00+01:00; 1.0;a\n"),
        ("c.jsonl", '{"amount":1,"pid":"a","at":"2026-01-31T12:00:00","pieces":null}\n'),
    ]
    log, summary = bring(*same)
    assert (summary.files, summary.rows, summary.events, summary.duplicates, summary.quarantined) == (2, 2, 0, 2, 0)
    assert log.events().num_rows == 1


def test_equal_rows_without_an_id_count_each_and_once_per_file(bring, contract):
    without = msgspec.structs.replace(contract, id=None, fields=contract.fields[1:])
    three = f"at,amount\n{AT},1\n{AT},1\n{AT},2\n{AT},1\n"
    log, first = bring(("a.csv", three), contract=without)
    assert (first.events, first.duplicates) == (4, 0)
    log, again = bring(("a.csv", three), contract=without)
    assert (again.events, again.duplicates) == (0, 4)
    log, more = bring(("b.csv", f"{three}{AT},1\n"), contract=without)
    assert (more.events, more.duplicates) == (1, 4)
    assert len(set(log.events()["_id"].to_pylist())) == 5


def test_equal_rows_are_counted_over_the_batches_of_a_file(bring, contract, monkeypatch):
    monkeypatch.setattr(readers, "BATCH_ROWS", 2)
    without = msgspec.structs.replace(contract, id=None, fields=contract.fields[1:])
    log, summary = bring(("a.jsonl", f'{{"at":"{AT}","amount":1}}\n' * 7), contract=without)
    assert (summary.events, log.events().num_rows) == (7, 7)


def test_a_quarantined_row_says_file_row_column_reason_and_what_stood_there(bring):
    log, summary = bring(
        ("a.csv", f"{HEADER}a,{AT},1\nb,soon,1\nc,{AT}\n"), ("b.jsonl", '{"pid":"d","at":"2026-01-31","amount":"x"}\n')
    )
    assert (summary.files, summary.rows, summary.events, summary.quarantined) == (2, 4, 1, 3)
    no_time = "'soon' is not a time such as 2026-01-31T12:00:00Z"
    assert sorted(quarantine(log)) == [
        ("a.csv", 2, "at", no_time),
        ("a.csv", 3, "", "has 2 columns, the header 3"),
        ("b.jsonl", 1, "amount", "'x' is not a number"),
    ]
    assert summary.reasons == {f"at: {no_time}": 1, "has 2 columns, the header 3": 1, "amount: 'x' is not a number": 1}
    assert summary.refused == {"b.jsonl": (1, "amount: 'x' is not a number")}  # of the other one a row is good
    raw = set(log.quarantined()["raw"].to_pylist())
    assert raw == {'{"pid":"b","at":"soon","amount":"1"}', f"c,{AT}", '{"pid":"d","at":"2026-01-31","amount":"x"}'}


def test_a_row_is_quarantined_once_and_for_its_first_field_at_fault(bring):
    log, summary = bring(("a.csv", f"{HEADER}b,soon,x\n"))
    assert summary.quarantined == 1
    assert [row[1:3] for row in quarantine(log)] == [(1, "at")]


def test_the_column_named_is_the_files(bring, contract):
    fields = tuple(msgspec.structs.replace(field, column=field.name.upper()) for field in contract.fields)
    renamed = msgspec.structs.replace(contract, fields=fields)
    log, _ = bring(("a.csv", f"PID,AT,AMOUNT\na,{AT},x\nb,{AT},1\nb,{AT},2\n"), contract=renamed)
    assert [row[1:3] for row in quarantine(log)] == [(1, "AMOUNT"), (3, "PID")]


def test_an_id_that_comes_with_another_body_is_quarantined_under_its_row_of_the_file(bring):
    bad = f"x,{AT}\n,soon,\ny,{AT},no\n"
    log, summary = bring(("a.csv", f"{HEADER}{bad}a,{AT},1\n{bad}b,{AT},1\na,{AT},2\n{bad}a,{AT},1\na,{AT},3\n"))
    assert (summary.events, summary.duplicates) == (2, 1)
    reason = "id 'a' is in the log already with another body"
    conflicts = [row for row in quarantine(log) if "another body" in row[3]]
    assert conflicts == [("a.csv", 9, "pid", reason), ("a.csv", 14, "pid", reason)]
    raw = [row["raw"] for row in log.quarantined().to_pylist() if row["row"] == 9 and row["column"] == "pid"]
    assert raw == ['{"pid":"a","at":"2026-01-31T12:00:00Z","amount":2.0,"pieces":null}']
    assert log.events()["amount"].to_pylist() == [1.0, 1.0]


def test_conflicts_are_numbered_over_the_batches_of_a_file(bring, monkeypatch):
    monkeypatch.setattr(readers, "BATCH_ROWS", 3)
    rows = [f'{{"pid":"p{i % 10}","at":"{AT}","amount":{"x" if i % 4 == 3 else i}}}' for i in range(20)]
    log, _ = bring(("a.jsonl", "\n".join(rows).replace(":x", ':"x"')))
    conflicts = [row[1] for row in quarantine(log) if "another body" in row[3]]
    first_with_id: dict[int, int] = {}
    expected = []
    for i in range(20):
        if i % 4 != 3 and first_with_id.setdefault(i % 10, i) != i:
            expected.append(i + 1)
    assert conflicts == expected


def test_an_outcome_is_known_a_delay_after_its_event(bring):
    log, summary = bring(("a.csv", f"pid,at,amount,fraud\na,{AT},1,yes\nb,{AT},1,\nc,{AT},1,0\n"))
    assert (summary.events, summary.outcomes, summary.quarantined) == (3, 2, 0)
    rows = log.outcomes().select(["_id", "fraud", "_known_at"]).to_pylist()
    known = T + timedelta(hours=1)
    assert rows == [
        {"_id": "a", "fraud": True, "_known_at": known},
        {"_id": "c", "fraud": False, "_known_at": known},
    ]


def test_outcomes_keep_to_their_events_when_rows_between_are_bad(bring):
    log, _ = bring(("a.csv", f"pid,at,amount,fraud\na,{AT},x,1\nb,{AT},1,1\nc,{AT},1,\nd,soon,1,1\ne,{AT},1,0\n"))
    assert log.outcomes().select(["_id", "fraud"]).to_pylist() == [
        {"_id": "b", "fraud": True},
        {"_id": "e", "fraud": False},
    ]


def test_a_wrong_outcome_quarantines_its_row(bring):
    log, summary = bring(("a.csv", f"pid,at,amount,fraud\na,{AT},1,perhaps\n"))
    assert (summary.events, summary.outcomes) == (0, 0)
    assert quarantine(log) == [("a.csv", 1, "fraud", "'perhaps' is not true or false")]


def test_the_outcome_of_a_row_that_conflicts_does_not_correct_the_first(bring):
    log, summary = bring(("a.csv", f"pid,at,amount,fraud\na,{AT},1,0\nb,{AT},1,\na,{AT},2,1\n"))
    assert (summary.outcomes, summary.quarantined) == (1, 1)
    assert log.outcomes()["fraud"].to_pylist() == [False]


def test_a_later_file_may_bring_and_correct_outcomes_of_equal_rows(bring):
    bring(("a.csv", f"pid,at,amount,fraud\na,{AT},1,\n"))
    log, late = bring(("b.csv", f"pid,at,amount,fraud\na,{AT},1,0\n"))
    assert (late.events, late.duplicates, late.outcomes) == (0, 1, 1)
    log, again = bring(("b.csv", f"pid,at,amount,fraud\na,{AT},1,0\n"))
    assert again.outcomes == 0
    log, corrected = bring(("c.csv", f"pid,at,amount,fraud\na,{AT},1,1\n"))
    assert corrected.outcomes == 1
    assert log.outcomes()["fraud"].to_pylist() == [False, True]


def test_an_event_at_the_end_of_the_calendar_has_its_outcome_there(bring):
    log, summary = bring(("a.csv", "pid,at,amount,fraud\na,9999-12-31T23:30:00Z,1,1\n"))
    assert (summary.events, summary.outcomes) == (1, 1)
    assert log.outcomes()["_known_at"].to_pylist() == [datetime.max.replace(tzinfo=UTC)]


def test_a_contract_without_a_label_reads_no_outcomes(bring):
    _, summary = bring(("a.csv", f"pid,at,amount,fraud\na,{AT},1,perhaps\n"), label=None)
    assert (summary.events, summary.outcomes, summary.quarantined) == (1, 0, 0)


def test_a_file_that_is_none_leaves_what_came_before_in_the_log(bring, write, contract, label, open_log):
    log = open_log(contract)
    paths = [write("a.csv", f"{HEADER}a,{AT},1\n"), write("b.csv", "pid,at\n")]
    with pytest.raises(DataError, match="has no column 'amount'"):
        ingest_files(log, contract, label, paths)
    assert log.counts()["events"] == 1


def test_an_empty_id_is_an_id(bring):
    log, summary = bring(("a.csv", f"{HEADER},{AT},1\n"))
    assert (summary.events, log.events()["_id"].to_pylist()) == (1, [""])


def test_progress_counts_every_row(write, contract, label, open_log):
    path = write("a.csv", f"{HEADER}a,{AT},1\nb,{AT}\nc,soon,1\n")
    told = []
    ingest_files(open_log(contract), contract, label, [path], lambda path, rows: told.append((path.name, rows)))
    assert {name for name, _ in told} == {"a.csv"}
    assert sum(rows for _, rows in told) == 3


def test_a_label_read_from_later_events_has_no_column(bring, label):
    ahead = msgspec.structs.replace(label, ahead=agg.count(over="1h"))
    with pytest.raises(DataError, match=r"a\.csv has a column 'fraud', and the label of that name is read from later"):
        bring(("a.csv", f"pid,at,amount,fraud\na,{AT},1,true\n"), label=ahead)
    _, summary = bring(("b.csv", f"{HEADER}a,{AT},1\n"), label=ahead)
    assert (summary.events, summary.outcomes) == (1, 0)


@pytest.mark.parametrize("noted", [True, False])
def test_outcomes_that_files_told_with_another_delay_are_refused(bring, label, noted):
    """They are in the log already, and would stay known at the moment of before."""
    told = ("a.csv", f"pid,at,amount,fraud\na,{AT},1,true\n")
    log, _ = bring(told)
    if not noted:  # the log of an earlier version
        log.journal.note(NOTE, b"")
    later = msgspec.structs.replace(label, delay_us=7 * 24 * label.delay_us)
    with pytest.raises(
        WorkspaceError, match="files told this log's outcomes of fraud with delay 1h, and the label has 7d now"
    ):
        bring(told, label=later)
    assert bring(told)[1].duplicates == 1


def test_a_delay_may_change_while_no_file_has_told_an_outcome(bring, label):
    log, _ = bring(("a.csv", f"{HEADER}a,{AT},1\n"))
    with log.write() as write:
        write.outcome("a", True, 0)
    later = msgspec.structs.replace(label, delay_us=2 * label.delay_us)
    log, _ = bring(("b.csv", f"pid,at,amount,fraud\nb,{AT},1,true\n"), label=later)
    assert log.outcomes()["_known_at"].to_pylist()[-1] == T + timedelta(hours=2)
