"""The retail example on its own data: what it ships is what its script makes, and it rehearses."""

import importlib.util
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/retail"
LINES = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,"LANTERN, WHITE",2,2010-12-01 08:27:00,3.39,17850.0,United Kingdom
536365,71053,"LANTERN, WHITE",1,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527.0,EIRE
"""
MORE = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536544,21773,ROSE,1,2010-12-02 14:32:00,2.51,,United Kingdom
"""


def test_invoices_are_made_of_their_lines(tmp_path):
    spec = importlib.util.spec_from_file_location("prepare", EXAMPLE / "prepare.py")
    prepare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prepare)
    (tmp_path / "2010-12-02.csv").write_text(MORE)
    (tmp_path / "2010-12-01.csv").write_text(LINES)
    made = prepare.invoices(tmp_path)
    assert made["invoice"].tolist() == ["536365", "C536379", "536544"]
    assert made["customer_id"].tolist()[:2] == ["17850", "14527"]
    assert made["customer_id"].isna().tolist() == [False, False, True]
    assert [str(at) for at in made["at"]] == [
        "2010-12-01 08:27:00+00:00", "2010-12-01 09:41:00+00:00", "2010-12-02 14:32:00+00:00",
    ]  # fmt: skip
    columns = ["lines", "products", "units", "amount", "dearest", "cancelled"]
    assert made[columns].to_numpy().tolist() == [
        [3, 2, 9, 25.47, 3.39, False], [1, 1, -1, -27.5, 27.5, True], [1, 1, 1, 2.51, 2.51, False],
    ]  # fmt: skip


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory, modelwright):
    """The example in a folder of its own, rehearsed; gives its file and what was said."""
    folder = tmp_path_factory.mktemp("retail")
    shutil.copytree(EXAMPLE, folder / "retail", ignore=shutil.ignore_patterns(".modelwright"))
    file = folder / "retail/system.py"
    done = modelwright("rehearse", file, "--json", home=folder / "retail/.modelwright")
    assert done.code == 0, done.err
    return file, done.json


def test_it_rehearses_from_where_there_is_something_to_train_on(rehearsed):
    file, said = rehearsed
    events = pq.read_table(file.parent / "data/invoices.parquet")
    begins = pc.strptime([said["begins"].removesuffix("Z")], "%Y-%m-%dT%H:%M:%S", "us")[0].as_py()
    at = events["at"].to_pylist()
    assert said["predictions"] == sum(1 for moment in at if moment.replace(tzinfo=None) >= begins)
    assert 60 < (begins - at[0].replace(tzinfo=None)).days < 80  # two windows of 30 days, and something to fit on
    assert said["trainings"] >= 2
    assert 0.7 < said["frozen"] < 0.85
    assert 0.7 < said["self_running"] < 0.85


def test_whoever_has_no_known_future_is_predicted_all_the_same(rehearsed):
    file, said = rehearsed
    events = pq.read_table(file.parent / "data/invoices.parquet").to_pylist()
    end = events[-1]["at"]
    replayed = events[-said["predictions"] :]
    known = [row for row in replayed if row["customer_id"] is not None and (end - row["at"]).days >= 30]
    assert said["known"] == len(known) < said["predictions"]
    page = Path(said["report"]).read_text()
    assert f"For {said['predictions'] - said['known']:,} predictions there is no truth yet" in page
    assert "whether count is above 0 over the 30d after the event where not cancelled, by customer_id" in page


def test_a_rehearsal_of_nothing_but_the_last_month_has_no_figures_and_says_so(rehearsed, modelwright, tmp_path):
    file, _ = rehearsed
    done = modelwright("rehearse", file, "--from", "0.9", "--json", home=tmp_path)
    assert done.code == 0, done.err
    assert (done.json["known"], done.json["self_running"], done.json["frozen"]) == (0, None, None)
    assert done.json["predictions"] == 688
    assert "Too few outcomes came back" in Path(done.json["report"]).read_text()


def test_outcomes_are_appended_once(rehearsed, modelwright):
    file, _ = rehearsed
    counts = [
        modelwright(*command, file, "--json", home=file.parent / ".modelwright").json
        for command in (("status",), ("ingest",), ("status",))
    ]
    assert counts[0]["outcomes"] == counts[2]["outcomes"] > 4_000
    assert (counts[1]["events"], counts[1]["outcomes"]) == (0, 0)
