"""Each kind of file, well-formed and not: what its rows are, and which number each has."""

import gzip
import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from pyarrow import csv

from modelwright.core.errors import DataError
from modelwright.ingest import readers
from modelwright.ingest.readers import read_file

HEADER = "pid,at,amount\n"
T = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT = "2026-01-31T12:00:00Z"


# CSV


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", f"pid,at,amount\nx,{AT},1.5\ny,{AT},2\n"),
        ("A.CSV", f"pid,at,amount\nx,{AT},1.5\ny,{AT},2\n"),
        ("bom.csv", f"\ufeffpid,at,amount\nx,{AT},1.5\ny,{AT},2\n"),
        ("crlf.csv", f"pid,at,amount\r\nx,{AT},1.5\r\ny,{AT},2\r\n"),
        ("no_last_line_end.csv", f"pid,at,amount\nx,{AT},1.5\ny,{AT},2"),
        ("blank_lines.csv", f"\n\npid,at,amount\n\nx,{AT},1.5\n\n\ny,{AT},2\n\n"),
        ("semicolons.csv", f"pid;at;amount\nx;{AT};1.5\ny;{AT};2\n"),
        ("tabs.tsv", f"pid\tat\tamount\nx\t{AT}\t1.5\ny\t{AT}\t2\n"),
        ("bars.txt", f"pid|at|amount\nx|{AT}|1.5\ny|{AT}|2\n"),
        ("quoted.csv", f'"pid","at","amount"\n"x","{AT}","1.5"\n"y","{AT}","2"\n'),
        ("more_columns.csv", f"z,amount,at,pid\n,1.5,{AT},x\n9,2,{AT},y\n"),
        ("spaces.csv", f"pid,at,amount\nx,  {AT} ,1.5 \ny,{AT}, 2\n"),
        ("bom_semicolons_crlf.csv", f"\ufeffpid;at;amount\r\nx;{AT};1.5\r\ny;{AT};2\r\n"),
    ],
)
def test_csv_in_all_its_dresses(checked, name, text):
    read = checked(name, text)
    assert [(e["pid"], e["at"], e["amount"]) for e in read.events] == [("x", T, 1.5), ("y", T, 2.0)]
    assert (read.rows, read.numbers, read.refused) == (2, [1, 2], [])


def test_csv_gzipped(checked):
    read = checked("a.csv.gz", gzip.compress(f"{HEADER}x,{AT},1\n".encode()))
    assert read.column("pid") == ["x"]


def test_a_value_may_hold_line_ends_delimiters_and_quotes(checked):
    read = checked("a.csv", f'{HEADER}"x\ny, ""z""\r\n",{AT},1\nlast,{AT},no\n')
    assert read.column("pid") == ['x\ny, "z"\r\n']
    assert read.refused == [(2, "amount", "'no' is not a number")]


def test_text_is_any_unicode(checked):
    texts = ["žluťoučký", "日本", "🦆", "e\u0301", "a\u00a0b"]
    read = checked("a.csv", HEADER + "".join(f"{text},{AT},1\n" for text in texts))
    assert read.column("pid") == texts


def test_rows_of_another_width_are_quarantined_under_their_number(checked):
    read = checked("a.csv", f"{HEADER}a,{AT},1\nb,{AT}\nc,{AT},x\nd,{AT},4,5\ne,{AT},5\nf\n")
    assert read.column("pid") == ["a", "e"]
    assert (read.rows, read.numbers) == (6, [1, 5])
    assert sorted(read.refused) == [
        (2, "", "has 2 columns, the header 3"),
        (3, "amount", "'x' is not a number"),
        (4, "", "has 4 columns, the header 3"),
        (6, "", "has 1 columns, the header 3"),
    ]
    assert f"b,{AT}" in read.raw


@pytest.mark.parametrize("bad", ["a,1\n", "a,b,c,d\nq\n"])
def test_a_file_of_nothing_but_broken_rows_loses_none(checked, bad):
    read = checked("a.csv", HEADER + bad)
    assert (read.events, read.rows, len(read.refused)) == ([], bad.count("\n"), bad.count("\n"))


def test_row_numbers_hold_over_many_blocks(checked, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 256)
    kinds = ["good" if i % 3 else "wide" if i % 2 else "wrong" for i in range(1, 201)]
    end = {"good": "{i}", "wide": "{i},9", "wrong": "x{i}"}
    text = "".join(f"r{i},{AT},{end[kind].format(i=i)}\n" for i, kind in enumerate(kinds, 1))
    read = checked("a.csv", HEADER + text)
    assert len(read.batches) > 5
    assert [(f"r{n}", float(n)) for n in read.numbers] == [(e["pid"], e["amount"]) for e in read.events]
    numbered = {kind: [n for n, each in enumerate(kinds, 1) if each == kind] for kind in end}
    assert read.numbers == numbered["good"]
    assert sorted(n for n, column, _ in read.refused if column == "amount") == numbered["wrong"]
    assert sorted(n for n, column, _ in read.refused if not column) == numbered["wide"]
    assert all(f"r{n}" in raw for (n, _, _), raw in zip(read.refused, read.raw, strict=True))


@pytest.mark.parametrize("text", [HEADER, HEADER.strip(), f"\ufeff{HEADER}", f"{HEADER}\n\n"])
def test_a_header_alone_is_a_file_of_no_rows(checked, text):
    read = checked("a.csv", text)
    assert (read.rows, read.events, read.refused) == (0, [], [])


@pytest.mark.parametrize("text", ["pid,at\n", "pid,at", "pid,at\nx,1\n", "pid;at\nx;1\n"])
def test_a_missing_column_lists_the_columns_there_are(checked, text):
    with pytest.raises(
        DataError, match=r"a\.csv has no column 'amount'; its columns are pid, at\. .*mw\.Meta\(column="
    ):
        checked("a.csv", text)


def test_a_column_that_may_be_missing_may_be_absent(checked):
    assert checked("a.csv", f"{HEADER}x,{AT},1\n").column("pieces") == [None]


@pytest.mark.parametrize("doubled", ["amount", "fraud"])
def test_two_columns_of_one_name_are_refused_where_that_name_is_read(checked, doubled):
    with pytest.raises(DataError, match=rf"a\.csv has more than one column '{doubled}'; rename all but one"):
        checked("a.csv", f"pid,at,amount,fraud,{doubled}\nx,{AT},1,1,1\n")
    assert checked("b.csv", f"pid,at,amount,z,z\nx,{AT},1,1,1\n").rows == 1


@pytest.mark.parametrize(
    "data",
    [
        b"pid,at,amount\n\xff,2026-01-31,1\n",
        b"p\xffid,at,amount\nx,2026-01-31,1\n",
        f"{HEADER}x,{AT},1\n".encode("utf-16"),
        f"{HEADER}Jos\u00e9,{AT},1\n".encode("latin-1"),
        f"{HEADER}Jos\u00e9,{AT},1,2\n".encode("latin-1"),
        f"{HEADER}x,{AT},1\nJos\u00e9".encode()[:-1],
    ],
)
def test_what_is_not_utf_8_is_refused_as_a_whole(checked, data):
    with pytest.raises(DataError, match=r"a\.csv is not readable as CSV in UTF-8"):
        checked("a.csv", data)


def test_a_character_may_lie_across_two_blocks(checked, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 128)
    names = ["x" * k + "\u00e9" for k in range(64)]
    assert [e["pid"] for e in checked("a.csv", HEADER + "".join(f"{name},{AT},1\n" for name in names)).events] == names


def test_a_row_refused_while_a_batch_is_worked_on_is_reported_and_counted(tmp_path, monkeypatch):
    """Arrow reads ahead on a thread of its own, and may refuse a row at any time."""
    (tmp_path / "a.csv").write_text(f"{HEADER}r1,{AT},1\nr2,{AT}\nr3,{AT},3\n")
    reader = []

    @contextmanager
    def opened(file, names, delimiter, refused):
        reader.append(refused)
        yield (pa.record_batch([[one], [AT], ["1"]], names) for one in ("r1", "r3"))

    monkeypatch.setattr(readers, "_open_csv", opened)
    found = read_file(tmp_path / "a.csv")
    first = next(found)
    assert reader[0](csv.InvalidRow(3, 2, 3, f"r2,{AT}")) == "skip"
    rest = list(found)
    assert [number for raw in (first, *rest) for number in raw.numbers] == [1, 3]
    assert [row for raw in rest for row, *_ in raw.broken] == [2]


# Files of any kind


def damaged(text: str) -> bytes:
    data = bytearray(gzip.compress(text.encode()))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_gzip_that_is_none_or_cut_or_damaged_is_one_line(checked, kind):
    rows = [f"{i},{AT},1\n" if kind == "csv" else line(str(i)) for i in range(3000)]
    text = "".join([HEADER if kind == "csv" else "", *rows])
    for data in (text.encode(), gzip.compress(text.encode())[:-20], damaged(text)):
        with pytest.raises(DataError, match=rf"a\.{kind}\.gz is not readable as"):
            checked(f"a.{kind}.gz", data)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
def test_an_empty_file(checked, name):
    with pytest.raises(DataError, match="is empty; it needs at least a header"):
        checked(name, b"")


@pytest.mark.parametrize("text", ["\n", "\n\n \n"])
def test_a_file_of_blank_lines_is_empty(checked, text):
    with pytest.raises(DataError, match="is empty; it needs at least a header"):
        checked("a.csv", text)


def test_a_directory(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match=r"a\.csv is a directory; name its files, for instance .*\*\.csv"):
        read_file(tmp_path / "a.csv")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv does not exist; check the path"):
        read_file(tmp_path / "a.csv")


def test_a_file_one_may_not_read(write, monkeypatch):
    path = write("a.csv", HEADER)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read all
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match=r"a\.csv: no permission to read it; change its mode or owner"):
        read_file(path)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.xlsx", ".xlsx"), ("a", "a file without a suffix"), ("a.csv.zip", ".zip")]
)
def test_another_kind_of_file_is_told_the_kinds_there_are(write, name, kind):
    with pytest.raises(DataError, match=rf"{kind} is not read; give \.csv, \.tsv, \.txt, \.parquet or \.jsonl"):
        read_file(write(name, "x"))


# Parquet


def table(**changed) -> pa.Table:
    return pa.table({"pid": ["a", "b"], "at": pa.array([T, T]), "amount": [1.0, 2.0]} | changed)


def test_parquet_as_typed(checked):
    read = checked("a.parquet", table(pieces=pa.array([1, None], pa.int32())))
    assert read.column("at") == [T, T]
    assert (read.column("amount"), read.column("pieces"), read.numbers) == ([1.0, 2.0], [1, None], [1, 2])


@pytest.mark.parametrize(
    ("column", "values", "read"),
    [
        ("pid", pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        ("pid", pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        ("pid", pa.array(["x", "y"], pa.string_view()), ["x", "y"]),
        ("pid", pa.array([b"x", b"y"]), ["x", "y"]),
        ("pid", pa.array([7, 8]), ["7", "8"]),
        ("amount", pa.array([1, 2], pa.int8()), [1.0, 2.0]),
        ("amount", pa.array([1, 2], pa.float32()), [1.0, 2.0]),
        ("amount", pa.array([1, 2], pa.decimal128(10, 2)), [1.0, 2.0]),
        ("amount", pa.array([True, False]), [1.0, 0.0]),
        ("amount", pa.array(["1", "2"]).dictionary_encode(), [1.0, 2.0]),
        ("pieces", pa.array([1.0, None]), [1, None]),
        ("pieces", pa.array([1.0, float("nan")]), [1, None]),
        ("pieces", pa.array([2**63 - 1, 0], pa.uint64()), [2**63 - 1, 0]),
        ("pieces", pa.nulls(2), [None, None]),
    ],
)
def test_parquet_types_that_say_the_same(checked, column, values, read):
    assert checked("a.parquet", table(**{column: values})).column(column) == read


def test_parquet_times_of_every_unit(checked):
    naive = T.replace(tzinfo=None)
    there = timezone(timedelta(hours=5, minutes=30))
    for unit in ("s", "ms", "us", "ns"):
        assert checked("a.parquet", table(at=pa.array([naive, naive], pa.timestamp(unit)))).column("at") == [T, T]
        zoned = pa.array([T.astimezone(there)] * 2, pa.timestamp(unit, "Asia/Kolkata"))
        assert checked("a.parquet", table(at=zoned)).column("at") == [T, T]
    midnight = datetime(2026, 1, 31, tzinfo=UTC)
    for kind in (pa.date32(), pa.date64()):
        assert checked("a.parquet", table(at=pa.array([T.date(), T.date()], kind))).column("at") == [midnight] * 2


def test_parquet_nanoseconds_are_the_microsecond_before(checked):
    read = checked("a.parquet", table(at=pa.array([1_999, -1], pa.timestamp("ns"))))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert read.column("at") == [epoch + timedelta(microseconds=1), epoch - timedelta(microseconds=1)]


@pytest.mark.parametrize(("unit", "count"), [("us", 2**62), ("us", -(2**62)), ("ms", 2**62), ("ms", -(2**62))])
def test_parquet_times_beyond_the_calendar_are_quarantined(checked, unit, count):
    read = checked("a.parquet", table(at=pa.array([count, 0], pa.timestamp(unit))))
    assert read.column("pid") == ["b"]
    assert read.refused == [(1, "at", "is not within the years 1 to 9999")]
    assert '"pid":"a"' in read.raw[0]


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("amount", pa.array([{"x": 1}, {"x": 2}]), "is an object or a list, not a single value"),
        ("pid", pa.array([[1], [2]]), "is an object or a list, not a single value"),
        ("amount", pa.array([T, T]), "timestamp[us, tz=UTC] is no float"),
        ("pieces", pa.array([T, T]), "timestamp[us, tz=UTC] is no int"),
        ("at", pa.array([1, 2]), "is not a time such as 2026-01-31T12:00:00Z"),
        ("amount", pa.array([float("inf"), float("-inf")]), "is not finite"),
        ("pieces", pa.array([1.5, -0.5]), "is not a whole number"),
        ("pieces", pa.array([2**63, 2**64 - 1], pa.uint64()), "does not fit in 64 bits"),
        ("pid", pa.array([b"\xff", b"\xfe"]), "is not UTF-8 text"),
        ("amount", pa.array([None, None], pa.float64()), "is missing, and the field is required"),
    ],
)
def test_parquet_types_that_do_not_fit(checked, column, values, reason):
    read = checked("a.parquet", table(**{column: values}))
    assert read.events == []
    assert [(row, name) for row, name, _ in read.refused] == [(1, column), (2, column)]
    assert all(reason in said for _, _, said in read.refused)


def test_parquet_that_is_none(checked):
    with pytest.raises(DataError, match=r"a\.parquet is not readable as Parquet"):
        checked("a.parquet", b"PAR1 and no more")


def test_parquet_without_a_column(checked):
    with pytest.raises(DataError, match=r"has no column 'amount'; its columns are pid, at"):
        checked("a.parquet", table().drop_columns("amount"))


def test_parquet_rows_are_numbered_over_batches(checked, monkeypatch):
    monkeypatch.setattr(readers, "BATCH_ROWS", 7)
    amounts = [None if i % 5 == 0 else float(i) for i in range(1, 31)]
    read = checked("a.parquet", pa.table({"pid": [str(i) for i in range(1, 31)], "at": [T] * 30, "amount": amounts}))
    assert [str(number) for number in read.numbers] == read.column("pid")
    assert [row for row, _, _ in read.refused] == [5, 10, 15, 20, 25, 30]


# JSON lines


def line(name: str, **changed) -> str:
    return json.dumps({"pid": name, "at": AT, "amount": 1} | changed) + "\n"


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.JSONL"])
def test_json_lines(checked, name):
    read = checked(name, f"\ufeff{line('a')}\r\n\n{line('b', amount=2.5, z=[1])}{line('c').strip()}")
    assert (read.column("pid"), read.column("amount")) == (["a", "b", "c"], [1.0, 2.5, 1.0])
    assert read.numbers == [1, 4, 5]


def test_lines_that_are_no_objects_are_quarantined_with_their_text(checked):
    broken = ["{bad", "[1]", "1", '{"pid": "x", "amount": NaN}', '{"a":' * 100_000, '{"pid": 1e999}']
    read = checked("a.jsonl", line("a") + "\n".join(broken) + "\n" + line("b"))
    assert read.column("pid") == ["a", "b"]
    assert [(row, column) for row, column, _ in read.refused] == [(i, "") for i in range(2, 8)]
    assert all(reason.startswith("is not a JSON object: ") for _, _, reason in read.refused)
    assert read.raw == [text[:500] for text in broken]


def test_a_line_that_is_not_utf_8_is_one_broken_line(checked):
    read = checked("a.jsonl", line("a").encode() + b'{"pid":"\xff"}\n' + line("b").encode())
    assert (read.column("pid"), [row for row, _, _ in read.refused]) == (["a", "b"], [2])


@pytest.mark.parametrize("text", ["{bad\n", "1\n[2]\n"])
def test_lines_of_which_none_is_an_object_are_all_quarantined(checked, text):
    read = checked("a.jsonl", text)
    assert (read.events, len(read.refused)) == ([], text.count("\n"))


def test_a_missing_member_is_missing_in_that_line(checked):
    read = checked("a.jsonl", line("a") + '{"pid":"b"}\n' + line("c", amount=None))
    assert read.refused == [
        (2, "at", "is missing, and the field is required"),
        (3, "amount", "is missing, and the field is required"),
    ]


def test_a_member_missing_in_a_whole_later_batch_is_missing_in_its_lines(checked, monkeypatch):
    monkeypatch.setattr(readers, "BATCH_ROWS", 2)
    read = checked("a.jsonl", line("a") + line("b") + f'{{"pid":"c","at":"{AT}"}}\n')
    assert (read.column("pid"), read.refused) == (["a", "b"], [(3, "amount", "is missing, and the field is required")])


def test_a_member_missing_everywhere_is_a_missing_column(checked):
    with pytest.raises(DataError, match=r"a\.jsonl has no column 'amount'; its columns are pid, at"):
        checked("a.jsonl", f'{{"pid":"a","at":"{AT}"}}\n')


@pytest.mark.parametrize("others", ["", line("ok"), line("ok", pid="z", amount="2")])
@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"amount": {"x": 1}}, "amount"),
        ({"amount": [1]}, "amount"),
        ({"pid": {"x": 1}}, "pid"),
        ({"pid": ["x"]}, "pid"),
        ({"at": 1_700_000_000}, "at"),
        ({"at": True}, "at"),
        ({"at": "soon"}, "at"),
        ({"pieces": 1.5}, "pieces"),
        ({"pieces": 2**63}, "pieces"),
        ({"pieces": 2**70}, "pieces"),
        ({"pieces": "x"}, "pieces"),
        ({"fraud": "perhaps"}, "fraud"),
        ({"fraud": [True]}, "fraud"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_whatever_stands_beside_it(checked, changed, column, others):
    read = checked("a.jsonl", others + line("wrong", **changed))
    assert [(row, name) for row, name, _ in read.refused] == [(2 if others else 1, column)]
    assert len(read.events) == (1 if others else 0)
    assert "unhashable" not in read.refused[0][2]
