"""`modelwright predict`: a file scored as it would have been live, in any format, without a word to the log."""

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import modelwright as mw
from modelwright.app.commands.predict import Checked, predict_with
from modelwright.core.errors import DataError, UsageError
from modelwright.core.machine_code import fits_machine
from modelwright.ingest import readers

COLUMNS = ["id", "at", "prediction", "score", "probability_false", "probability_true", "release"]


@pytest.fixture(scope="module")
def later(some_payments: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Payments after those of the history, of the same cards, each at its own moment; without outcomes."""
    rows = some_payments(620)[500:]
    return [{name: value for name, value in row.items() if name != "is_fraud"} for row in rows]


@pytest.fixture(params=["card_numbers", "cards"])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Each system with a copy of its state: compiled release, and release in the native form with string inputs."""
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


PLAIN = '''\
"""Rows without history, as most batch files are: numbers and texts into trees, compiled."""

from datetime import datetime
from typing import Annotated

from lightgbm import LGBMClassifier
from sklearn.compose import make_column_selector as columns
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import modelwright as mw
from modelwright import source


@mw.event(id="number", time="at")
class Row:
    """A row."""

    number: int
    at: datetime
    amount: Annotated[float, mw.Meta(ge=0)]
    kind: str


system = mw.System(
    name="plain",
    event=Row,
    source=source.files("history.parquet"),
    label=mw.Label("good", bool, delay="1h"),
    model=make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), columns(dtype_include="category")), remainder="passthrough"
        ),
        LGBMClassifier(n_estimators=20, verbose=-1),
    ),
)
'''


def plain_rows(path: Path, count: int, *, outcomes: bool = False) -> Path:
    """That many rows, a minute apart, in row groups of 50,000."""
    numbers = np.arange(count)
    table = pa.table(
        {
            "number": numbers,
            "at": pa.array(numbers * (timedelta(minutes=1) // timedelta(microseconds=1)) + 1_700_000_000_000_000).cast(
                pa.timestamp("us", tz="UTC")
            ),
            "amount": numbers % 97 / 7,
            "kind": np.array(["a", "b", "c"])[numbers % 3],
        }
    )
    if outcomes:
        table = table.append_column("good", pa.array(numbers % 97 + 20 * (numbers % 3) > 40 + numbers % 31))
    pq.write_table(table, path, row_group_size=50_000)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, modelwright: Any, cards: Any) -> Any:
    """A system without views, trained."""
    folder = tmp_path_factory.mktemp("plain")
    file = folder / "plain.py"
    file.write_text(PLAIN)
    plain_rows(folder / "history.parquet", 600, outcomes=True)
    done = modelwright("train", file, "--json", home=folder / "state")
    assert done.code == 0, done.err
    return type(cards)(file, folder / "state", folder / "state" / "releases" / done.json["release"])


def test_a_file_in_many_batches_gives_the_answers_of_one(
    plain: Any, predict: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the file's order, though batches are scored beside each other; also where batches hold no good row."""
    table = pq.read_table(plain_rows(tmp_path / "in.parquet", 1_000))
    amounts = table["amount"].to_numpy().copy()
    amounts[:20] = amounts[500:507] = -1.0
    pq.write_table(table.set_column(2, "amount", pa.array(amounts)), tmp_path / "in.parquet")
    whole = predict(plain, tmp_path / "in.parquet", tmp_path / "whole.parquet")
    monkeypatch.setattr(readers, "BATCH_ROWS", 7)
    cut = predict(plain, tmp_path / "in.parquet", tmp_path / "cut.parquet")
    assert (cut.rows, cut.refused) == (whole.rows, whole.refused) == (973, 27)
    batches = [batch.num_rows for batch in Checked(tmp_path / "in.parquet", mw.load(plain.file).contract)]
    assert batches[:2] == [1, 7]  # no model is asked about no rows
    answers = pq.read_table(tmp_path / "cut.parquet")
    assert answers.equals(pq.read_table(tmp_path / "whole.parquet"))
    assert answers["id"].to_pylist() == [str(number) for number in range(1_000) if amounts[number] >= 0]
    assert len(set(answers["score"].to_pylist())) > 5
    assert answers.schema.field("id").type == pa.string()


LIBRARIES = """
import sys
from modelwright.app.cli import main
code = main(sys.argv[1:])
print(*sorted({"sklearn", "lightgbm", "numba", "mlflow"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def test_a_release_scores_a_file_as_its_system_does_where_nothing_is_that_trained_it(
    plain: Any, predict: Any, tmp_path: Path
) -> None:
    given = plain_rows(tmp_path / "in.parquet", 1_000)
    predict(plain, given, tmp_path / "system.parquet")
    elsewhere = shutil.copytree(plain.release, tmp_path / "elsewhere" / plain.release.name)
    command = [sys.executable, "-c", LIBRARIES, "predict", elsewhere, given, tmp_path / "out.parquet", "--json"]
    environment = {**os.environ, "MODELWRIGHT_HOME": "none"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=300, cwd=tmp_path, env=environment
    )
    assert json.loads(done.stdout)["release"] == plain.release.name
    assert pq.read_table(tmp_path / "out.parquet").equals(pq.read_table(tmp_path / "system.parquet"))
    assert done.stderr == ("\n" if fits_machine() else "numba\n")
    assert not (tmp_path / "none").exists()


def test_a_release_that_reads_history_wants_its_system(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reads history, which stands in its system's log; give the system's file"):
        predict_with(trained.release, tmp_path / "in.csv", tmp_path / "out.csv")


def test_a_file_of_which_nothing_can_be_scored_says_why_and_leaves_nothing(
    plain: Any, predict: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(readers, "BATCH_ROWS", 7)
    table = pq.read_table(plain_rows(tmp_path / "in.parquet", 20))
    pq.write_table(table.set_column(2, "amount", pa.array([-1.0] * 20)), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"every row was refused; the first is row 1: amount: -1.0 is not >= 0"):
        predict(plain, tmp_path / "in.parquet", tmp_path / "out.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "in.parquet")
    with pytest.raises(DataError, match="holds no rows"):
        predict(plain, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_a_file_that_ends_too_early_leaves_no_answers(
    plain: Any, predict: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The damage is met when the first answers are written already."""
    table = pq.read_table(plain_rows(tmp_path / "in.parquet", 50_000))
    monkeypatch.setattr(readers, "BLOCK_BYTES", 50_000)
    with gzip.open(tmp_path / "in.csv.gz", "wb") as file:
        pyarrow.csv.write_csv(table, file)
    whole = (tmp_path / "in.csv.gz").read_bytes()
    (tmp_path / "in.csv.gz").write_bytes(whole[: len(whole) * 9 // 10])
    (tmp_path / "out.csv").write_text("of yesterday")
    with pytest.raises(DataError, match="is not readable as CSV"):
        predict(plain, tmp_path / "in.csv.gz", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv.gz", "in.parquet", "out.csv"]


MEASURE = """
import sys
from pathlib import Path
import modelwright as mw
done = mw.load(sys.argv[1]).predict(sys.argv[2], sys.argv[3])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(done.rows, int(peak.split()[1]) // 1024)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="peak memory of a process alone is read from /proc: run this on Linux",
)
def test_memory_does_not_grow_with_a_file_without_history(
    plain: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ten times the rows, about 40 MB as columns and several times that as Python values, in the same memory."""
    monkeypatch.setenv("MODELWRIGHT_HOME", str(plain.home))
    peak_mib = {}
    for rows in (200_000, 2_000_000):
        given = plain_rows(tmp_path / "in.parquet", rows)
        command = [sys.executable, "-c", MEASURE, plain.file, given, tmp_path / "out.parquet"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.split()
        assert int(said[0]) == rows
        peak_mib[rows] = int(said[1])
    assert peak_mib[2_000_000] < peak_mib[200_000] + 60, peak_mib
