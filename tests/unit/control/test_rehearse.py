"""A rehearsal is the loop on history: the block size changes nothing, and what fails is taken out of service."""

import csv
import shutil
from datetime import datetime, timedelta

import pytest

import modelwright as mw
from modelwright.app.commands.rehearse import rehearse

FRAGILE = '''
class Fragile(LGBMClassifier):
    """Cannot answer one amount."""

    def fit(self, frame, target, **more):
        self.rows = len(frame)
        return super().fit(frame, target, **more)

    def predict_proba(self, frame, **more):
        if (frame["amount"] == 123456.0).any():
            raise RuntimeError("an amount it cannot answer")
        return super().predict_proba(frame, **more)


system = mw.System('''
PIPELINE = """make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
            remainder="passthrough",
        ),
        LGBMClassifier(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1),
    )"""
BREAKS = {
    "system = mw.System(": FRAGILE,
    PIPELINE: "Fragile(n_estimators=5, num_leaves=4, n_jobs=1, verbose=-1)",
    'gates=[gate.metric("accuracy", at_least=0.6), gate.better_than("baseline")]': "gates=[]",
}


def rehearsed(system, block=4_096):
    """The figures, the seconds apart, and the decisions."""
    result = rehearse(system, block=block)
    figures = {name: getattr(result, name) for name in result.__struct_fields__ if name not in ("seconds", "report")}
    return figures, system.journal(of="rehearsal")


def with_amount(file, places):
    """Gives the payments at those places the amount that breaks the model."""
    with file.open() as given:
        rows = list(csv.reader(given))
    for place in places:
        rows[1 + place][3] = "123456.0"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(rows)


@pytest.mark.parametrize("name", ["disputes", "sales", "tickets"])
def test_the_block_size_changes_nothing(declare, name):
    system = mw.load(declare(name))
    figures, rows = rehearsed(system)
    assert figures["trainings"] >= 2
    assert not [row.summary for row in rows if row.kind == "error"]
    for block in (7, 1):
        assert rehearsed(system, block)[0] == figures
    assert figures["journal_sha256"] == rows[-1].hash


def test_a_model_that_starts_to_fail_is_rolled_back_at_that_event(declare):
    file = declare("disputes", BREAKS | {"system = mw.System(": FRAGILE.replace("if (", "if self.rows > 300 and (")})
    with_amount(file.with_name("disputes.csv"), [777])
    system = mw.load(file)
    figures, rows = rehearsed(system)
    (back,) = [row for row in rows if row.kind == "rolled_back"]
    with file.with_name("disputes.csv").open() as given:
        assert back.at == f"{list(csv.DictReader(given))[777]['at']}Z"
    first, second = [row.release for row in rows if row.kind == "promoted" and row.seq < back.seq]
    assert back.release == second
    assert back.summary.startswith(f"{first} is back: release {second} failed to predict: RuntimeError: an amount it")
    assert figures["rollbacks"] == 1
    assert figures["predictions"] == 1_200  # nobody went without an answer
    for block in (7, 1):
        assert rehearsed(system, block)[0] == figures


def test_what_no_release_can_answer_is_decided_by_nobody(declare):
    file = declare("disputes", BREAKS)
    with_amount(file.with_name("disputes.csv"), [777])
    system = mw.load(file)
    figures, _ = rehearsed(system)
    assert figures["predictions"] == 1_199
    assert figures["rollbacks"] == 0
    assert figures["frozen"] > 0.5  # over the same events, without the one nobody could answer
    assert figures["self_running"] > 0.5
    assert rehearsed(system, 7)[0] == figures


def test_a_challenger_that_fails_is_sent_home_and_the_champion_stays(declare):
    file = declare("disputes", BREAKS | {"system = mw.System(": FRAGILE.replace("if (", "if self.rows > 300 and (")})
    system = mw.load(file)
    shadow = next(row for row in rehearsed(system)[1] if row.kind == "shadow_started")
    with file.with_name("disputes.csv").open() as given:
        at = [row["at"] for row in csv.DictReader(given)]
    place = next(i for i, moment in enumerate(at) if f"{moment}Z" > shadow.at) + 5
    with_amount(file.with_name("disputes.csv"), [place])
    shutil.rmtree(file.parent / ".modelwright")
    figures, rows = rehearsed(system)
    (sent_home,) = [row for row in rows if row.kind == "rejected" and row.evidence["by"] == "errors"]
    assert (sent_home.release, sent_home.at) == (shadow.release, f"{at[place]}Z")
    assert sent_home.summary.endswith("failed to predict: RuntimeError: an amount it cannot answer")
    assert figures["rollbacks"] == 0
    assert rehearsed(system, 7)[0] == figures


def test_a_class_that_appears_late_is_learnt(declare):
    figures, _ = rehearsed(mw.load(declare("tickets")))
    assert figures["metric"] == "accuracy"
    assert figures["self_running"] > figures["frozen"] > figures["baseline"]


@pytest.mark.parametrize("metric", ["log_loss"])
def test_probabilities_over_other_classes_are_compared(declare, metric):
    system = mw.load(
        declare("tickets", {'gates=[gate.metric("accuracy", at_least=0.5)]': f'metric="{metric}", gates=[]'})
    )
    figures, _ = rehearsed(system)
    assert figures["metric"] == metric
    assert 0 < figures["self_running"] < figures["frozen"]


def test_amounts_are_steered_by_their_error(declare):
    figures, rows = rehearsed(mw.load(declare("sales")))
    assert figures["metric"] == "mae"
    assert figures["self_running"] < figures["baseline"]
    assert {row.kind for row in rows} >= {"registered", "trained", "gated", "promoted", "trigger", "shadow_started"}


def test_rehearsing_again_begins_anew(declare):
    system = mw.load(declare("sales"))
    figures, rows = rehearsed(system)
    again, same_rows = rehearsed(system)
    assert again == figures
    assert [row.hash for row in same_rows] == [row.hash for row in rows]


def test_outcomes_that_never_come_change_no_answer(declare):
    file = declare("sales")
    whole, _ = rehearsed(mw.load(file))
    data = file.with_name("sales.csv")
    lines = data.read_text().splitlines()
    data.write_text("\n".join([*lines[:1_190], *(line.rpartition(",")[0] + "," for line in lines[1_190:])]) + "\n")
    shutil.rmtree(file.parent / ".modelwright")
    less, _ = rehearsed(mw.load(file))
    assert less["predictions"] == whole["predictions"]
    assert less["frozen"] != whole["frozen"]


def test_a_decision_rests_on_the_outcomes_that_were_known_and_on_all_of_them(declare):
    file = declare("disputes")
    _, rows = rehearsed(mw.load(file))
    with file.with_name("disputes.csv").open() as given:
        told = [datetime.fromisoformat(f"{row['at']}Z") for row in csv.DictReader(given) if row["disputed"]]
    since = None
    compared = 0
    for row in rows:
        at = datetime.fromisoformat(row.at)
        if row.kind == "shadow_started":
            since = at
        elif row.kind in ("promoted", "rejected") and "pairs" in row.evidence:
            known = [moment for moment in told if moment >= since and moment + timedelta(days=1) <= at]
            assert row.evidence["pairs"] == len(known)
            compared += 1
    assert compared >= 3
