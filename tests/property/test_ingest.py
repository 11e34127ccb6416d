"""The promises of ingest: a row is the same row in whatever file and form it comes, none is lost or counted twice, and
each bad one is reported under the number it has in its file."""

import csv
import gzip
import io
import json
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from unittest import mock

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.core.clock import SimulatedClock, to_us
from modelwright.ingest import readers
from modelwright.ingest.files import checked_batches, ingest_files
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec

CONTRACT = Contract(
    name="Row",
    fields=(
        Field(name="pid", kind="str", column="pid"),
        Field(name="at", kind="time", column="at"),
        Field(name="amount", kind="float", column="amount", nullable=True, has_default=True),
        Field(name="pieces", kind="int", column="pieces", nullable=True, has_default=True),
        Field(name="member", kind="bool", column="member", nullable=True, has_default=True),
        Field(name="text", kind="str", column="text", nullable=True, has_default=True),
    ),
    id="pid",
    time="at",
)
NAMES = CONTRACT.names
LABEL = LabelSpec(name="fraud", kind="bool", delay_us=1)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=8)
TIMES = st.datetimes(
    datetime(1700, 1, 1),
    datetime(2200, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))]),
)
ROW = st.tuples(
    TEXT,
    TIMES,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.booleans(),
    st.none() | TEXT,
)
ROWS = st.lists(ROW, min_size=1, max_size=12)


def as_csv(rows, delimiter: str = ",") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(NAMES)
    for row in rows:
        writer.writerow([value.isoformat() if isinstance(value, datetime) else value for value in row])
    return out.getvalue().encode()


def as_json_lines(rows) -> bytes:
    objects = (dict(zip(NAMES, row, strict=True)) for row in rows)
    return "".join(json.dumps(each, default=datetime.isoformat) + "\n" for each in objects).encode()


def as_parquet(rows) -> bytes:
    types = [pa.string(), pa.timestamp("us", "UTC"), pa.float64(), pa.int64(), pa.bool_(), pa.string()]
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types, strict=True)]
    out = io.BytesIO()
    pq.write_table(pa.table(columns, list(NAMES)), out)
    return out.getvalue()


FORMS = {
    "a.csv": as_csv,
    "b.csv": lambda rows: as_csv(rows, ";"),
    "c.tsv": lambda rows: b"\xef\xbb\xbf" + as_csv(rows, "\t"),
    "d.csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "e.jsonl": as_json_lines,
    "f.jsonl.gz": lambda rows: gzip.compress(as_json_lines(rows)),
    "g.parquet": as_parquet,
}


@contextmanager
def written(name: str, data: bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def plain(row) -> tuple:
    return tuple(to_us(value) if isinstance(value, datetime) else value for value in row)


@given(ROWS)
@settings(max_examples=40, deadline=None)
def test_a_row_is_the_same_in_every_kind_of_file(rows):
    digests = {}
    for name, form in FORMS.items():
        with written(name, form(rows)) as path:
            batches = list(checked_batches(path, CONTRACT, LABEL))
        assert [refused for batch in batches for refused in batch.quarantine] == []
        assert [number for batch in batches for number in batch.numbers] == (list(range(1, len(rows) + 1)))
        events = [plain(event[column] for column in NAMES) for batch in batches for event in batch.events.to_pylist()]
        assert events == [plain(row) for row in rows], name
        digests[name] = [digest for batch in batches for digest in batch.digests]
    assert all(each == digests["a.csv"] for each in digests.values())


GOOD, WRONG, BROKEN = "good", "wrong", "broken"
SHAPES = st.lists(st.sampled_from([GOOD, GOOD, WRONG, BROKEN]), min_size=1, max_size=60)


@given(SHAPES, st.sampled_from(["csv", "jsonl"]), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_every_row_is_kept_or_reported_once_under_its_own_number(shapes, kind, size):
    at = "2026-01-31T12:00:00Z"
    lines = []
    for number, shape in enumerate(shapes, 1):
        amount = "x" if shape == WRONG else number
        if kind == "csv":
            lines.append(f"r{number},{at}" + ("" if shape == BROKEN else f",{amount}"))
        else:
            text = json.dumps({"pid": f"r{number}", "at": at, "amount": amount})
            lines.append(text[:-1] if shape == BROKEN else text)
    text = "\n".join((["pid,at,amount"] if kind == "csv" else []) + lines) + "\n"
    small = mock.patch.multiple(readers, BATCH_ROWS=size, BLOCK_BYTES=40 * size)
    with written(f"a.{kind}", text.encode()) as path, small:
        batches = list(checked_batches(path, CONTRACT, LABEL))
    kept = [n for batch in batches for n in batch.numbers]
    assert [event["pid"] for batch in batches for event in batch.events.to_pylist()] == [f"r{n}" for n in kept]
    refused = sorted((row.row, row.column) for batch in batches for row in batch.quarantine)
    assert kept == [n for n, shape in enumerate(shapes, 1) if shape == GOOD]
    assert refused == [(n, "amount" if shape == WRONG else "") for n, shape in enumerate(shapes, 1) if shape != GOOD]
    assert sum(batch.rows for batch in batches) == len(shapes)


BODIES = st.lists(st.lists(st.integers(0, 3), max_size=8), min_size=1, max_size=4)


@given(BODIES)
@settings(max_examples=12, deadline=None)
def test_rows_without_an_id_count_as_often_as_the_file_that_has_them_most(files):
    contract = msgspec.structs.replace(CONTRACT, id=None, fields=CONTRACT.fields[1:3])
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for place, bodies in enumerate(files):
            paths.append(Path(folder) / f"{place}.csv")
            paths[-1].write_text("at,amount\n" + "".join(f"2026-01-31,{body}\n" for body in bodies))
        with Log.open(Workspace(Path(folder) / "state"), LogSchema(contract), SimulatedClock(0)) as log:
            summary = ingest_files(log, contract, None, [*paths, *paths])
            amounts = log.events()["amount"].to_pylist()
    assert sorted(amounts) == sorted(body for body in range(4) for _ in range(max(each.count(body) for each in files)))
    assert summary.events == len(amounts)
    assert summary.events + summary.duplicates == summary.rows == 2 * sum(map(len, files))


EVENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=25)


@given(EVENTS, st.integers(1, 7))
@settings(max_examples=12, deadline=None)
def test_of_one_id_the_first_body_wins_and_every_other_is_reported_by_its_row(events, size):
    lines = [{"pid": f"p{i}", "at": "2026-01-31", "amount": body} for i, body in events]
    with written("a.jsonl", "".join(json.dumps(each) + "\n" for each in lines).encode() + b"{bad\n") as path:
        log = Log.open(Workspace(path.parent / "state"), LogSchema(CONTRACT), SimulatedClock(0))
        with log, mock.patch.object(readers, "BATCH_ROWS", size):
            summary = ingest_files(log, CONTRACT, None, [path])
            held = dict(zip(*(log.events()[name].to_pylist() for name in ("_id", "amount")), strict=True))
            reported = sorted(log.quarantined()["row"].to_pylist())
    first: dict[str, int] = {}
    for i, body in events:
        first.setdefault(f"p{i}", body)
    conflicts = [number for number, (i, body) in enumerate(events, 1) if first[f"p{i}"] != body]
    assert held == first
    assert reported == [*conflicts, len(events) + 1]
    assert summary.events + summary.duplicates + summary.quarantined == summary.rows == len(events) + 1
