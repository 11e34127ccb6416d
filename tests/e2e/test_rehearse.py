"""`modelwright rehearse` as a user calls it: figures as JSON, a report, a journal of its own, and nothing else touched."""

import json

import pytest

KEYS = {
    "metric", "frozen", "self_running", "predictions", "trainings", "promotions", "rejections", "rollbacks",
    "journal_sha256", "report",
}  # fmt: skip
JOURNAL = ["seq", "at", "kind", "release", "summary", "evidence", "observed", "prev_hash", "hash"]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory, market_of, modelwright):
    """The electricity example on its first half-hours, rehearsed."""
    folder = tmp_path_factory.mktemp("rehearsed")
    file = market_of(folder, 6_000)
    home = folder / "state"
    done = modelwright("rehearse", file, "--json", home=home)
    assert done.code == 0, done.err
    return file, home, done


def test_one_json_object_with_the_promised_keys(rehearsed):
    _, home, done = rehearsed
    said = done.json
    assert done.out.count("\n") == 1
    assert set(said) >= KEYS
    assert said["metric"] == "accuracy"
    assert said["predictions"] == 4_800
    assert said["trainings"] >= 2
    assert 1 + said["promotions"] + said["rejections"] in (
        said["trainings"],
        said["trainings"] - 1,
    )  # or in shadow still
    assert 0.5 < said["frozen"] < 1
    assert 0.5 < said["self_running"] < 1
    assert (home / "rehearsal/reports/rehearsal.html").samefile(said["report"])


def test_the_journal_of_the_rehearsal_is_read_apart(rehearsed, modelwright):
    file, home, done = rehearsed
    read = modelwright("journal", file, "--rehearsal", "--json", home=home)
    assert read.code == 0, read.err
    rows = [json.loads(line) for line in read.out.splitlines()]
    assert [list(row) for row in rows] == [JOURNAL] * len(rows)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["prev_hash"] == "0" * 64
    assert [row["prev_hash"] for row in rows[1:]] == [row["hash"] for row in rows[:-1]]
    assert rows[-1]["hash"] == done.json["journal_sha256"]
    assert sum(row["kind"] == "trained" for row in rows) == done.json["trainings"]
    assert modelwright("journal", file, "--json", home=home).out == ""  # nothing was decided live


def test_the_report_is_one_file_that_refers_to_nothing(rehearsed):
    _, home, done = rehearsed
    page = (home / "rehearsal/reports/rehearsal.html").read_text()
    assert done.json["journal_sha256"] in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_rehearsing_again_gives_the_same_to_the_last_bit(rehearsed, modelwright):
    file, home, done = rehearsed
    again = modelwright("rehearse", file, "--json", home=home)
    assert {**again.json, "seconds": 0} == {**done.json, "seconds": 0}


def test_without_json_it_tells_people_and_prints_the_hash(rehearsed, modelwright):
    file, home, done = rehearsed
    told = modelwright("rehearse", file, "--from", "0.5", home=home)
    assert told.code == 0
    assert "self-running" in told.out + told.err
    assert done.json["journal_sha256"] not in told.out + told.err  # another part of the history


def test_too_little_history_is_one_line_and_exit_code_1(tmp_path, market_of, modelwright):
    done = modelwright("rehearse", market_of(tmp_path, 100), "--json", home=tmp_path / "state")
    assert (done.code, done.out) == (1, "")
    assert done.err.strip().splitlines()[-1].startswith("modelwright: ")
    assert "Traceback" not in done.err


@pytest.mark.parametrize("share", ["0", "1", "1.5", "x", "nan"])
def test_a_share_that_is_none_is_exit_code_2(rehearsed, modelwright, share):
    file, home, _ = rehearsed
    done = modelwright("rehearse", file, "--from", share, home=home)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
