"""`modelwright predict`: a file scored as it would have been live, in any format, without a word to the log."""

import csv
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import modelwright as mw

COLUMNS = ["id", "at", "prediction", "score", "probability_false", "probability_true", "release"]


@pytest.fixture(scope="module")
def later(some_payments: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Payments after those of the history, of the same cards, each at its own moment; without outcomes."""
    rows = some_payments(620)[500:]
    return [{name: value for name, value in row.items() if name != "is_fraud"} for row in rows]


@pytest.fixture(params=["card_numbers", "cards"])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Each system with a copy of its state: release in ONNX, and release in the native form with string inputs."""
    made = request.getfixturevalue(request.param)
    shutil.copytree(made.home, tmp_path / "state")
    return type(made)(made.file, tmp_path / "state", tmp_path / "state" / "releases" / made.release.name)


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What the command calls, in this process: `predict(trained, given, out)`."""

    def call(trained: Any, given: Path, out: Path) -> Any:
        monkeypatch.setenv("MODELWRIGHT_HOME", str(trained.home))
        return mw.load(trained.file).predict(given, out)

    return call


def parquet_of(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist([{**row, "at": datetime.fromisoformat(row["at"])} for row in rows])
    pq.write_table(table, path)
    return path


def test_every_format_gives_the_same_rows(
    trained: Any, later: list[dict[str, Any]], to_csv: Any, predict: Any, tmp_path: Path
) -> None:
    given = {"csv": to_csv(tmp_path / "in.csv", later), "parquet": parquet_of(tmp_path / "in.parquet", later)}
    given["jsonl"] = tmp_path / "in.jsonl"
    given["jsonl"].write_text("".join(json.dumps(row) + "\n" for row in later))
    tables = {}
    for kind, out in (("csv", "a.csv"), ("parquet", "a.parquet"), ("jsonl", "b.parquet"), ("parquet", "b.csv")):
        done = predict(trained, given[kind], tmp_path / out)
        assert (done.rows, done.refused, done.release) == (len(later), 0, trained.release.name)
        read = pyarrow.csv.read_csv if out.endswith("csv") else pq.read_table
        tables[kind, out] = read(tmp_path / out)
    for table in tables.values():
        assert table.column_names == COLUMNS
        assert table["id"].to_pylist() == [row["payment_id"] for row in later]
        assert table["score"].to_pylist() == tables["csv", "a.csv"]["score"].to_pylist()
        assert table["prediction"].to_pylist() == [score >= 0.5 for score in table["score"].to_pylist()]
    assert not list(tmp_path.glob(".*partial"))


def test_the_file_is_scored_as_it_would_be_live(
    trained: Any, later: list[dict[str, Any]], to_csv: Any, predict: Any, serve: Any, tmp_path: Path
) -> None:
    """Row by row over HTTP, with the same history before: the same scores. Nothing of the file enters the log."""
    given = to_csv(tmp_path / "in.csv", later)
    predict(trained, given, tmp_path / "out.parquet")
    scored = pq.read_table(tmp_path / "out.parquet").to_pylist()

    server = serve(trained.release, trained.home)
    ready = server.ask("GET", "/readyz").json
    assert (ready["events"], ready["notes"]) == (500, [])
    for row, said in zip(later, scored, strict=True):
        answer = server.post("/predict", row).json
        assert (answer["id"], answer["prediction"]) == (said["id"], said["prediction"])
        # One row and many at once may be summed in another order by the linear algebra.
        assert answer["score"] == pytest.approx(said["score"], rel=1e-12)
        assert said["at"] == datetime.fromisoformat(row["at"]).astimezone(UTC)
    server.stop()

    # And once the rows are in the log, they are their own history only once.
    predict(trained, given, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet")["score"].to_pylist() == [row["score"] for row in scored]

    # Cards that nobody knows get other scores: what was compared did depend on history.
    strangers = [{**row, "payment_id": f"x{place}", "card": f"x{place}"} for place, row in enumerate(later)]
    predict(trained, to_csv(tmp_path / "strangers.csv", strangers), tmp_path / "strangers.parquet")
    alone = pq.read_table(tmp_path / "strangers.parquet")["score"].to_pylist()
    assert sum(a != row["score"] for a, row in zip(alone, scored, strict=True)) > len(later) / 4


def test_rows_that_break_the_contract_are_left_out_and_counted(
    card_numbers: Any, later: list[dict[str, Any]], to_csv: Any, modelwright: Any, tmp_path: Path
) -> None:
    rows = [dict(row) for row in later[:10]]
    rows[2]["amount"] = -1
    rows[5]["at"] = "yesterday"
    rows[7]["items"] = 10**30
    given = to_csv(tmp_path / "in.csv", rows)
    done = modelwright("predict", card_numbers.file, given, tmp_path / "out.csv", home=card_numbers.home)
    assert done.code == 0, done.err
    assert done.out == ""
    assert "refused" in done.err
    with (tmp_path / "out.csv").open() as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert ids == [row["payment_id"] for place, row in enumerate(rows) if place not in (2, 5, 7)]
    told = modelwright("predict", card_numbers.file, given, tmp_path / "out.csv", "--json", home=card_numbers.home).json
    assert (told["rows"], told["refused"]) == (7, 3)


def test_an_output_is_replaced_whole_or_not_at_all(
    card_numbers: Any, later: list[dict[str, Any]], to_csv: Any, modelwright: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("of yesterday")
    bad = tmp_path / "bad.csv"
    bad.write_text("payment_id\nx\n")
    assert modelwright("predict", card_numbers.file, bad, out, home=card_numbers.home).code == 1
    assert out.read_text() == "of yesterday"
    given = to_csv(tmp_path / "in.csv", later)
    assert modelwright("predict", card_numbers.file, given, out, home=card_numbers.home).code == 0
    assert out.read_text().startswith('"id"')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "in.csv", "out.csv"]
