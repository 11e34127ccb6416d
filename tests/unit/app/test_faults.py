"""Every fault, put into a small system that nothing else happens to: who notices, after how many events, and what is done."""

import json
import re
import shutil
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

import modelwright as mw
from modelwright.app.cli import main
from modelwright.app.faults import faults_section
from modelwright.app.terminal import fault_lines
from modelwright.app.wiring import open_log, trial_of
from modelwright.core.errors import UsageError
from modelwright.lake.workspace import Workspace

FAULTS = (
    "missing:distance@0.5-0.7",
    "missing:weight@0.5-0.55",
    "units:weight*100@0.5",
    "renamed:depot:north=NORTH@0.5",
    "shift:distance+2@0.5",
    "gradual:distance+3@0.4",
    "late:7d@0.5",
    "lost:7d@0.5",
    "trainer-dies:2@0.5",
    "bad-challenger@0.4",
    "bad-challenger@0.999",
)
ACCURACY = {"name": "accuracy", "higher_is_better": True}


@pytest.fixture(scope="module")
def rehearsed(histories, tmp_path_factory):
    """The system and its rehearsal with every fault."""
    folder = tmp_path_factory.mktemp("faults") / "parcels"
    shutil.copytree(histories("parcels"), folder)
    system = mw.load(folder / "system.py")
    return system, system.rehearse(inject=FAULTS)


@pytest.fixture(scope="module")
def effects(rehearsed):
    return {one.fault: one for one in rehearsed[1].faults}


def journal(system, number=None):
    """The decisions of the clean rehearsal, or of that with a fault."""
    root = trial_of(system, "rehearsal").root
    workspace = Workspace(root if number is None else root / "faults" / str(number))
    with closing(open_log(system, workspace, readonly=True)) as log:
        log.journal.verify()
        return list(log.journal.rows())


def kinds(effect):
    return [deed.kind for deed in effect.done]


@pytest.mark.parametrize(
    ("fault", "thing", "within"),
    [
        ("missing:distance@0.5-0.7", "drift of distance", 100),
        ("units:weight*100@0.5", "drift of weight", 100),
        ("renamed:depot:north=NORTH@0.5", "drift of depot", 120),
        ("shift:distance+2@0.5", "drift of distance", 100),
        ("gradual:distance+3@0.4", "range of distance", 500),
    ],
)
def test_a_damaged_column_is_noticed_by_name_and_retrained_on(effects, fault, thing, within):
    effect = effects[fault]
    assert effect.took_place
    assert effect.noticed.by == "alert"
    assert effect.noticed.summary.startswith(f"{thing} since ")
    assert 0 < effect.noticed.events <= within
    assert "promoted" in kinds(effect)
    assert effect.harm
    assert effect.during.faulty < effect.during.clean - 0.02
    assert effect.before.faulty == effect.before.clean  # equal until it struck


def test_a_column_whose_units_change_costs_less_once_another_model_is_live(effects):
    effect = effects["units:weight*100@0.5"]
    assert effect.back is not None
    assert effect.during.faulty < effect.during.clean - 0.1
    assert effect.after.faulty > effect.after.clean - 0.05


def test_a_required_column_that_is_missing_is_refused_from_the_first_event_on(effects):
    effect = effects["missing:weight@0.5-0.55"]
    assert (effect.noticed.by, effect.noticed.events) == ("contract", 1)
    assert effect.noticed.summary == "refused: weight is missing, and the field is required"
    assert effect.changed == effect.refused == effect.unanswered == 150
    assert effect.harm and effect.back >= effect.ended


@pytest.mark.parametrize("fault", ["late:7d@0.5", "lost:7d@0.5"])
def test_without_outcomes_somebody_is_told_and_nothing_is_promoted_on_what_is_not_known(rehearsed, effects, fault):
    effect = effects[fault]
    assert effect.changed > 300
    assert effect.noticed.by == "alert"
    assert effect.noticed.events < 50
    assert effect.noticed.summary.startswith("freshness of outcomes since ")
    system, result = rehearsed
    rows = journal(system, 1 + [one.fault for one in result.faults].index(fault))
    begin, end = effect.began, effect.ended
    assert not [row.summary for row in rows if row.kind == "promoted" and begin < row.at <= end]
    assert not effect.harm


def test_a_trainer_that_dies_is_journalled_tried_again_and_its_candidate_promoted_or_not(rehearsed, effects):
    effect = effects["trainer-dies:2@0.5"]
    assert (effect.noticed.by, effect.noticed.events) == ("error", 0)
    assert effect.noticed.summary.startswith("training failed: the trainer died")
    assert effect.began < effect.ended
    rows = [row for row in journal(rehearsed[0], 9) if row.at >= effect.began]
    assert [row.kind for row in rows if row.kind in ("error", "trained")][:3] == ["error", "error", "trained"]
    assert "trained" in kinds(effect)
    assert not effect.harm  # the champion stayed


def test_a_challenger_that_is_bad_live_is_kept_from_answering(rehearsed, effects):
    effect = effects["bad-challenger@0.4"]
    assert effect.noticed.by == "rejected"
    assert re.match(r"worse by 0\.[1-9]\d* over \d+ pairs", effect.noticed.summary)
    assert 0 < effect.noticed.events <= 250
    assert kinds(effect) == ["rejected"]
    assert not effect.harm
    rows = journal(rehearsed[0], 10)
    bad = effect.done[0].release
    assert ("gated", "all gates passed") in [(row.kind, row.summary) for row in rows if row.release == bad]
    assert not [row for row in rows if row.kind == "promoted" and row.release == bad]
    assert "promoted" in [
        row.kind for row in journal(rehearsed[0]) if row.release == bad
    ]  # without the fault it was good


def test_what_never_came_to_pass_is_not_called_unnoticed(effects):
    effect = effects["bad-challenger@0.999"]
    assert not effect.took_place
    assert effect.noticed is None
    assert "it never came to it" in " ".join(fault_lines(effect, "accuracy"))
    page = faults_section([msgspec.to_builtins(effect)], ACCURACY)
    assert "did not happen" in page and "not noticed" not in page


def test_both_journals_are_one_until_the_fault_strikes_and_the_clean_one_is_the_ordinary_one(rehearsed):
    system, result = rehearsed
    clean = journal(system)
    assert clean[-1].hash == result.journal_sha256
    for number, effect in enumerate(result.faults, 1):
        rows = journal(system, number)
        assert rows[-1].hash == effect.journal_sha256
        before = [row.hash for row in clean if row.at < effect.began]
        assert before
        assert [row.hash for row in rows if row.at < effect.began] == before


def test_two_rehearsals_with_a_fault_are_one_and_the_clean_one_needs_no_fault(rehearsed, effects, tmp_path, histories):
    folder = tmp_path / "parcels"
    shutil.copytree(histories("parcels"), folder)
    system = mw.load(folder / "system.py")
    again = system.rehearse(inject=["bad-challenger@0.4", "missing:weight@0.5-0.55"])
    assert again.faults == [effects["bad-challenger@0.4"], effects["missing:weight@0.5-0.55"]]
    assert system.rehearse().journal_sha256 == again.journal_sha256 == rehearsed[1].journal_sha256


def test_the_report_shows_each_with_its_chart_and_holds_no_markup_of_theirs(rehearsed):
    _, result = rehearsed
    page = Path(result.report).read_text(encoding="utf-8")
    assert page.count('<article class="fault">') == len(FAULTS)
    assert page.count('class="line faulty"') == len(FAULTS) - 1
    assert "Noticed at once: the contract refuses its rows" in page
    hostile = msgspec.to_builtins(result.faults[0]) | {"fault": "<b>", "meaning": "<i>x</i>"}
    hostile["noticed"] = hostile["noticed"] | {"summary": "<script>"}
    drawn = faults_section([hostile], ACCURACY)
    assert "<b>" not in drawn and "<i>x" not in drawn and "<script>" not in drawn
    assert faults_section([], ACCURACY) == ""


def test_the_terminal_says_for_each_what_became_of_it(effects):
    told = "\n".join(line for effect in effects.values() for line in fault_lines(effect, "accuracy"))
    assert "after 1 event, at once" in told
    assert "refused[/]  150 events" in told
    for effect in effects.values():
        assert effect.meaning in told


def test_on_the_command_line_bad_faults_are_one_line_and_nothing_is_rehearsed(declare, capsys):
    file = declare("parcels")
    for given, message in (
        (["--inject", "missing:wieght"], "'wieght' is no column of Parcel; did you mean 'weight'?"),
        (["--inject", "missing:weight@0.1"], "the replay begins at 0.2; give a later @SHARE, or a smaller --from"),
        (["--inject", "missing:weight", "--compare", "policies.py"], "give one of them at a time"),
    ):
        assert main(["rehearse", str(file), *given, "--json"]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1 and message in said.err
    assert not trial_of(mw.load(file), "rehearsal").root.exists()


def test_a_fault_of_amounts_is_held_against_their_error(declare, capsys):
    file = declare("sales")
    assert main(["rehearse", str(file), "--inject", "units:visitors*100@0.4-0.5", "--json"]) == 0
    (effect,) = json.loads(capsys.readouterr().out)["faults"]
    assert effect["noticed"]["summary"].startswith("range of visitors since")
    assert effect["during"]["faulty"] > effect["during"]["clean"]
    assert effect["harm"]


def test_python_says_the_same_error(declare):
    with pytest.raises(UsageError, match="did you mean missing:COLUMN"):
        mw.load(declare("parcels")).rehearse(inject=["missng:weight"])


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_faults_of_a_real_market_are_noticed_too(tmp_path, market_of):
    """Half-hours of electricity prices, which drift by themselves, on the first 16,000 of them."""
    system = mw.load(market_of(tmp_path, 16_000))
    asked = ("units:nswdemand*100@0.6", "shift:nswdemand+3@0.6-0.8", "trainer-dies@0.5", "bad-challenger@0.4")
    units, shift, trainer, challenger = system.rehearse(inject=asked).faults
    for effect in (units, shift):
        assert effect.noticed.by == "alert" and "nswdemand" in effect.noticed.summary
        assert effect.noticed.events <= 750  # half-hours that hang together say less than so many strangers
        assert effect.before.faulty == effect.before.clean
    assert (trainer.noticed.by, trainer.noticed.events) == ("error", 0)
    assert "trained" in kinds(trainer)
    assert challenger.noticed.by == "rejected"
    assert challenger.noticed.events <= 1_000
    assert not challenger.harm
