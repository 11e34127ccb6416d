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
    alerts = 'alerts=[alert.webhook("$NOBODY", kinds=["promoted"])],\n    retrain=['
    file = market_of(folder, 6_000, {"import agg, gate": "import agg, alert, gate", "retrain=[": alerts})
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


def test_its_status_tells_what_was_decided_and_where_its_answers_are(rehearsed, modelwright):
    file, home, *_ = rehearsed
    said = modelwright("status", file, "--rehearsal", home=home)
    assert (said.code, said.err) == (0, "")
    assert "champion" in said.out and "decisions" in said.out
    assert "in its report, not in a log" in said.out
    assert "predictions" not in said.out


def test_the_report_says_how_it_ended_and_what_would_have_been_sent(rehearsed):
    _, home, done = rehearsed
    page = (home / "rehearsal/reports/rehearsal.html").read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])["report"]
    sent = data["alerts"]["sent"]
    assert len(sent) == done.json["alerts"] == 1 + done.json["promotions"]
    assert {(one["kind"], *one["to"]) for one in sent} == {("promoted", "webhook $NOBODY")}
    quality = data["digest"]["quality"]
    assert set(quality["rivals"]) == {"the frozen first model", "the baseline"}
    assert quality["now"]["low"] < quality["now"]["value"] < quality["now"]["high"]
    assert {figure["rows"] for figure in quality["rivals"].values()} == {quality["now"]["rows"]}
    assert data["digest"]["headline"].partition(":")[0] in ("Good", "Worth a look", "Not good enough")


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


def test_policies_are_compared_on_the_command_line(declare, modelwright):
    file = declare("sales")
    policies = file.with_name("policies.py")
    policies.write_text('from modelwright import retrain\npolicies = {"never": [], "daily": [retrain.every("1d")]}\n')
    said = modelwright("rehearse", file, "--compare", policies, "--json", home=file.parent / "state")
    assert said.code == 0, said.err
    assert [one["policy"] for one in said.json["policies"]] == ["as declared", "never", "daily"]
    assert said.json["recommended"] in ("as declared", "never", "daily")
    for_people = modelwright("rehearse", file, "--compare", policies, home=file.parent / "state")
    assert "recommended" in for_people.err and "daily" in for_people.err
    absent = modelwright("rehearse", file, "--compare", "nothing.py", home=file.parent / "state")
    assert (absent.code, len(absent.err.splitlines())) == (2, 1)
    assert "nothing.py does not exist; give the Python file that declares the policies" in absent.err
