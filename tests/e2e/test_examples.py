"""The examples that are too long for every day rehearse as their READMEs say: better than a frozen model and a baseline."""

import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "better"), [("taxi", min), ("occupancy", max), ("electricity", max)])
def test_an_example_looks_after_itself(name, better, tmp_path, modelwright):
    place = Path(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".modelwright")))
    done = modelwright("rehearse", place / "system.py", "--json", home=tmp_path / "state", timeout=280)
    assert done.code == 0, done.err
    figures = done.json
    own = figures["self_running"]
    assert own == better(own, figures["frozen"], figures["baseline"]), figures
    assert 0 < figures["promotions"] <= figures["trainings"] <= 30
    print(f"\n{name}: {own:.4f}, frozen {figures['frozen']:.4f}, baseline {figures['baseline']:.4f}")


@pytest.mark.slow
def test_a_blizzard_is_drift_and_nothing_else_is(tmp_path, modelwright):
    place = Path(shutil.copytree(EXAMPLES / "taxi", tmp_path / "taxi", ignore=shutil.ignore_patterns(".modelwright")))
    home = tmp_path / "state"
    assert modelwright("rehearse", place / "system.py", "--json", home=home, timeout=280).code == 0
    told = modelwright("journal", place / "system.py", "--rehearsal", "--json", home=home).out.splitlines()
    alerts = [line for line in told if '"kind":"alert"' in line]
    assert len(alerts) == 1
    assert '"at":"2015-01-2' in alerts[0]
