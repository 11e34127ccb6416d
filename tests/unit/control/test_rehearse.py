"""A rehearsal is the loop on history: the block size changes nothing, and what fails is taken out of service."""

import csv
import shutil
from datetime import datetime, timedelta
from typing import Any

import pytest

import modelwright as mw
from modelwright.app.commands import rehearse as command
from modelwright.app.commands.rehearse import Silent, rehearse, replayed, with_tables
from modelwright.app.wiring import emptied, open_log, trial_of
from modelwright.control.material import material_of
from modelwright.control.rehearse import first_replayed
from modelwright.core.clock import iso
from modelwright.core.share import is_in_share

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


TURNCOAT = '''
class Turncoat:
    """Of a kind that no form but its own is known for. From a size on it says of amounts that end in half a cent
    the opposite of what it knows."""

    def fit(self, frame, target):
        self.rows, self.classes_ = len(frame), (False, True)
        self.model = LGBMClassifier(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1).fit(frame, target)
        return self

    def predict_proba(self, frame):
        said = self.model.predict_proba(frame)
        turned = ((frame["amount"] * 1_000).round() % 10 == 5).to_numpy() & (self.rows > 300)
        said[turned] = said[turned][:, ::-1]
        return said

    def predict(self, frame):
        return self.predict_proba(frame).argmax(axis=1) == 1


system = mw.System('''


def test_a_champion_that_turns_out_worse_gives_way_to_the_release_before_it(declare, monkeypatch):
    """Good offline and in shadow; from its promotion on it says the opposite of what it should."""
    changes = BREAKS | {
        "system = mw.System(": TURNCOAT,
        PIPELINE: "Turncoat()",
        'retrain=[retrain.every("14d"), retrain.on_decay(drop=0.1, rows=60)]': 'retrain=[retrain.every("28d")]',
    }
    file = declare("disputes", changes)
    system = mw.load(file)
    second = [row for row in rehearsed(system)[1] if row.kind == "promoted"][1]
    with file.with_name("disputes.csv").open() as given:
        names, *payments = csv.reader(given)
    with file.with_name("disputes.csv").open("w", newline="") as out:
        half_a_cent_more = [
            [*row[:3], f"{float(row[3]):.2f}5" if f"{row[2]}Z" >= second.at else row[3], *row[4:]] for row in payments
        ]
        csv.writer(out).writerows([names, *half_a_cent_more])
    shutil.rmtree(file.parent / ".modelwright")
    figures, rows = rehearsed(system)
    (back,) = [row for row in rows if row.kind == "rolled_back"]
    assert (back.release, back.evidence["by"]) == (second.release, "outcome")
    assert back.evidence["evidence"] >= back.evidence["needed"]
    assert back.evidence["difference"] < -0.05
    assert figures["rollbacks"] == 1
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(command, "render_report", lambda data, *more: shown.append(data) or "")
    for block in (7, 1):
        assert rehearsed(system, block)[0] == figures
    first, turned = (one for one in shown[0]["releases"] if one["release"].startswith(("r1-", "r2-")))
    assert (turned["verdict"], turned["served_from"], turned["served_to"]) == ("rolled back", second.at, back.at)
    assert (first["verdict"], first["served_to"]) == ("champion", None)


CANARY = {"rollout.shadow(pairs=30,": "rollout.canary(shares=[0.2, 0.5], step=15, pairs=30,"}


def test_a_canary_in_a_rehearsal_answers_its_share(declare):
    file = declare("disputes", CANARY)
    system = mw.load(file)
    figures, rows = rehearsed(system)
    steps = [row for row in rows if row.kind == "canary"]
    assert {row.evidence["share"] for row in steps} == {0.2, 0.5}
    material = material_of(with_tables(system, Silent()), system)
    first = first_replayed(system, material, None)
    with open_log(system, emptied(trial_of(system, "rehearsal"))) as log:
        account = replayed(system, material, log.workspace, log, first, Silent()).ledger.account
    at = [iso(at_us) for at_us in account.at_us]
    cards = [material.entities[place] for place in account.event_seq]
    by_challenger = 0
    for row in steps:
        until = next(one.at for one in rows if one.seq > row.seq and one.kind in ("canary", "promoted", "rejected"))
        for moment, card, said in zip(at, cards, account.scored, strict=True):
            if row.at <= moment < until:
                assert (said.release == row.release) == is_in_share(card, row.release, row.evidence["share"])
                by_challenger += said.release == row.release
    assert by_challenger > 20
    assert figures["predictions"] == 1_200
    for block in (7, 1):
        assert rehearsed(system, block)[0] == figures


STILL = {
    "features=[card]": "features=[]",
    "rows: int = 1_500": "rows: int = 4_000",
    "if i < rows * 0.55 else": "if i < rows else",
    'retrain=[retrain.every("14d"), retrain.on_decay(drop=0.1, rows=60)]': "retrain=[retrain.on_drift()]",
    "random.integers(0, 11_520)": "random.integers(0, 4_320)",
}
AMOUNT = "random.lognormal(3, 1)"


def test_nothing_is_retrained_where_nothing_drifts(declare):
    figures, rows = rehearsed(mw.load(declare("disputes", STILL)))
    assert not [row.summary for row in rows if row.kind in ("alert", "trigger")]
    assert figures["trainings"] == 1


def test_an_injected_drift_is_noticed_told_once_and_retrained_on(declare):
    file = declare("disputes", STILL | {AMOUNT: "random.lognormal(3 if i < rows * 0.6 else 3.8, 1)"})
    system = mw.load(file)
    figures, rows = rehearsed(system)
    alert, trigger = (next(row for row in rows if row.kind == kind) for kind in ("alert", "trigger"))
    with file.with_name("disputes.csv").open() as given:
        at = [f"{row['at']}Z" for row in csv.DictReader(given)]
    seen = sum(1 for moment in at if at[2_400] <= moment < alert.at)
    assert 0 < seen <= 200  # events, of which a decision point makes up to 10
    assert alert.evidence["drifted"][0]["name"] == "amount"
    assert at[2_300] < alert.evidence["drifted"][0]["since"] <= at[2_450]
    assert (trigger.at, trigger.evidence["trigger"]) == (alert.at, "OnDrift")
    assert figures["trainings"] == 1 + sum(row.kind == "trigger" for row in rows)
    assert rehearsed(system, 7)[0] == figures  # to the hash


def test_values_beyond_what_training_saw_in_some_rows_are_told_with_their_end_in_a_rehearsal_as_well(declare):
    some = "rows * 0.6 < i < rows * 0.7 and i % 12 == 0"
    system = mw.load(declare("disputes", STILL | {AMOUNT: f"random.lognormal(3, 1) * (1_000 if {some} else 1)"}))
    _, rows = rehearsed(system)
    turns = [row for row in rows if row.evidence.get("what") == "range"]
    assert [(row.evidence["of"], row.evidence["state"]) for row in turns][:2] == [
        ("amount", "raised"),
        ("amount", "cleared"),
    ]
    assert "are outside 0" in turns[0].summary
    assert turns[1].summary.startswith("range of amount as usual again since ")
    assert [row for row in rows if row.evidence.get("what") in ("clock", "delay")] == []


def test_two_rehearsals_of_a_tuned_model_decide_the_same(declare):
    """To the hash; every training has tuned on what was known then."""
    pytest.importorskip("optuna", reason="pip install 'modelwright[tune]'")
    space = "{'num_leaves': mw.space.integer(2, 31, log=True)}"
    tuned = {
        "model=LGBMRegressor(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1)":
            f"model=mw.tune(LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1), {space}, trials=3)",
    }  # fmt: skip
    system = mw.load(declare("sales", tuned))
    figures, rows = rehearsed(system)
    trained = [row.evidence["chosen_from"][0] for row in rows if row.kind == "trained"]
    assert len(trained) >= 2
    assert all(len(one["trials"]) == 4 and one["folds"] == 3 for one in trained)
    assert rehearsed(system)[0] == figures
