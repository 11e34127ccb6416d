"""One text, or one column of texts, to one value: what each kind takes, what it calls missing, what it refuses and why."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from modelwright.ingest.convert import convert
from modelwright.spec.contract import Field

T = datetime(2026, 1, 31, 12, tzinfo=UTC)


def field(kind: str, **changed) -> Field:
    return Field(name="x", kind=kind, column="X", **({"nullable": True} | changed))


@pytest.fixture(params=[None, "nonsense"], ids=["alone", "beside a value that resists"])
def one(request):
    """Converts one text; the second time beside a wrong one, which sends the column down the slow road."""

    def value(kind: str, text: str, **changed):
        texts = [text] if request.param is None else [text, request.param]
        column, faults = convert(pa.array(texts), field(kind, **changed))
        mine = [fault for fault in faults if fault.row == 0]
        assert all(fault.column == "X" for fault in mine)
        return (None, mine[0].reason) if mine else (column[0].as_py(), None)

    return value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("float", "1.5", 1.5),
        ("float", " -2 ", -2.0),
        ("float", "1e3", 1000.0),
        ("float", "+.5", 0.5),
        ("float", "0.1", 0.1),
        ("float", "nan", None),
        ("float", "NaN", None),
        ("float", "", None),
        ("float", "   ", None),
        ("int", "1", 1),
        ("int", "+7", 7),
        ("int", "1.0", 1),
        ("int", "1e3", 1000),
        ("int", "007", 7),
        ("int", str(2**63 - 1), 2**63 - 1),
        ("int", str(-(2**63)), -(2**63)),
        ("int", "nan", None),
        ("int", "", None),
        ("bool", "", None),
        ("time", "", None),
        ("time", "2026-01-31T12:00:00Z", T),
        ("time", "2026-01-31T12:00:00z", T),
        ("time", "2026-01-31 12:00:00", T),
        ("time", "2026-01-31T12:00", T),
        ("time", "2026-01-31T12:00:00.000001", T + timedelta(microseconds=1)),
        ("time", "2026-01-31T13:00:00+01:00", T),
        ("time", "2026-01-31T13:00:00+0100", T),
        ("time", "2026-01-31T13:00:00+01", T),
        ("time", "2026-01-31T06:30:00-05:30", T),
        ("time", "2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("time", "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("time", "9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("str", "", None),
        ("str", " a ", " a "),
        ("str", "nan", "nan"),
    ],
)
def test_a_text_has_one_value_whatever_stands_beside_it(one, kind, text, value):
    got, reason = one(kind, text)
    assert reason is None
    assert got == value


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "t", "yes", "Y", "1", "1.0", " true "])
def test_true_in_all_spellings(one, text):
    assert one("bool", text) == (True, None)


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "f", "no", "N", "0", "0.0", "\tno"])
def test_false_in_all_spellings(one, text):
    assert one("bool", text) == (False, None)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("float", "x", "'x' is not a number"),
        ("float", "1,5", "'1,5' is not a number"),
        ("float", "1_000", "'1_000' is not a number"),
        ("float", "0x10", "'0x10' is not a number"),
        ("float", "inf", "'inf' is not finite"),
        ("float", "-Infinity", "'-Infinity' is not finite"),
        ("float", "1e999", "'1e999' is not finite"),
        ("float", "null", "'null' is not a number"),
        ("float", "true", "'true' is not a number"),
        ("int", "1.5", "'1.5' is not a whole number"),
        ("int", "0x10", "'0x10' is not a number"),
        ("int", "0XFF", "'0XFF' is not a number"),
        ("int", "1_000", "'1_000' is not a number"),
        ("int", str(2**63), f"'{2**63}' does not fit in 64 bits"),
        ("int", str(-(2**63) - 1), f"'{-(2**63) - 1}' does not fit in 64 bits"),
        ("int", "1e30", "'1e30' does not fit in 64 bits"),
        ("int", "inf", "'inf' is not finite"),
        ("bool", "2", "'2' is not true or false"),
        ("bool", "maybe", "'maybe' is not true or false"),
        ("time", "soon", "'soon' is not a time such as 2026-01-31T12:00:00Z"),
        ("time", "31.01.2026", "'31.01.2026' is not a time such as 2026-01-31T12:00:00Z"),
        ("time", "2026-02-30", "'2026-02-30' is not a time such as 2026-01-31T12:00:00Z"),
        ("time", "2026-01-31T25:00", "'2026-01-31T25:00' is not a time such as 2026-01-31T12:00:00Z"),
        ("time", "1700000000", "'1700000000' is not a time such as 2026-01-31T12:00:00Z"),
        ("time", "0001-01-01T00:00:00+05:00", "is not within the years 1 to 9999"),
        ("time", "9999-12-31T23:59:59-05:00", "is not within the years 1 to 9999"),
    ],
)
def test_what_is_no_value_of_the_kind_says_why(one, kind, text, reason):
    assert one(kind, text) == (None, reason)


def test_a_year_nought_is_refused(one):
    assert one("time", "0000-01-01")[0] is None
    assert one("time", "0000-01-01")[1]


def test_zones_and_none_may_be_mixed_in_a_column_and_an_hour_that_comes_twice_is_told_apart():
    # The clocks of Berlin went back on 26 October 2025: half past two came at +02:00, then at +01:00.
    texts = ["2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00", "2025-10-26T02:30:00", "2025-10-26T02:30:00Z"]
    column, faults = convert(pa.array(texts), field("time"))
    assert faults == []
    assert [moment.hour * 60 + moment.minute for moment in column.to_pylist()] == [30, 90, 150, 150]


@pytest.mark.parametrize("kind", ["float", "int", "bool", "time"])
@pytest.mark.parametrize("text", ["", "  "])
def test_a_missing_value_of_a_required_field_is_refused(one, kind, text):
    assert one(kind, text, nullable=False) == (None, "is missing, and the field is required")


def test_an_empty_text_is_a_text_where_none_may_be_missing(one):
    assert one("str", "", nullable=False) == ("", None)


@pytest.mark.parametrize(("kind", "default"), [("float", 1.5), ("int", 3), ("bool", True), ("str", "a")])
def test_a_missing_value_becomes_the_default_and_a_wrong_one_does_not(kind, default):
    wrong = b"\xff" if kind == "str" else b"nonsense"
    column, faults = convert(pa.array([None, wrong]), field(kind, nullable=False, has_default=True, default=default))
    assert column[0].as_py() == default
    assert [fault.row for fault in faults] == [1]


def test_an_absent_column_is_all_default():
    column, faults = convert(pa.nulls(3), field("int", has_default=True, default=7))
    assert (column.to_pylist(), faults) == ([7, 7, 7], [])


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "reason"),
    [
        ({"gt": 0}, ["0.1", "5"], ["0", "-1"], "> 0"),
        ({"ge": 0}, ["0", "5"], ["-0.1"], ">= 0"),
        ({"lt": 10}, ["9.9"], ["10", "11"], "< 10"),
        ({"le": 10}, ["10"], ["10.1"], "<= 10"),
    ],
)
def test_numbers_beyond_a_limit(limits, inside, outside, reason):
    column, faults = convert(pa.array([*inside, *outside, ""]), field("float", **limits))
    assert [fault.row for fault in faults] == list(range(len(inside), len(inside) + len(outside)))
    assert [fault.reason for fault in faults] == [f"{float(text)!r} is not {reason}" for text in outside]
    assert column[-1].as_py() is None


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "reason"),
    [
        ({"min_length": 2}, ["ab", "日本"], ["a", "日"], "at least 2 characters long"),
        ({"max_length": 2}, ["ab", "日本"], ["abc", "日本語"], "at most 2 characters long"),
        ({"pattern": "^[A-Z]+$"}, ["AB"], ["ab", "A1"], "of the form ^[A-Z]+$"),
        ({"pattern": "b"}, ["abc"], ["acd"], "of the form b"),
        ({"pattern": r"^(?!x)\w+$"}, ["abc"], ["xyz"], r"of the form ^(?!x)\w+$"),
        ({"choices": ("card", "cash")}, ["card", "cash"], ["Card", "cheque"], "one of card, cash"),
    ],
)
def test_texts_beyond_a_limit(limits, inside, outside, reason):
    column, faults = convert(pa.array([*inside, *outside, None]), field("str", **limits))
    assert [fault.row for fault in faults] == list(range(len(inside), len(inside) + len(outside)))
    assert [fault.reason for fault in faults] == [f"{text!r} is not {reason}" for text in outside]
    assert column[-1].as_py() is None


def test_a_column_of_many_chunks_and_of_none():
    chunks = pa.chunked_array([["1"], ["x"], ["3"]])
    column, faults = convert(chunks, field("float"))
    assert (column.to_pylist(), [fault.row for fault in faults]) == ([1.0, None, 3.0], [1])
    assert convert(pa.chunked_array([], pa.string()), field("float"))[0].to_pylist() == []
