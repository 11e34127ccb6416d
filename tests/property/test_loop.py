"""The promises of the loop: no leak, determinism across processes, releases named by their content."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import modelwright as mw
from modelwright.app.commands.ingest import into_log, source_paths
from modelwright.app.wiring import open_log, workspace_of
from modelwright.control.material import make_material
from modelwright.training.examples import split_by_time

HOMEMADE = '''
class Homemade:
    """A model of one's own, stored by value."""

    words = {"x": 1, "y": 2}

    def __init__(self, depth=2):
        self.depth = depth

    def fit(self, frame, target):
        self.level = {name: float(np.median(target)) for name in ("a", "b")}
        return self

    def predict(self, frame):
        return np.full(len(frame), self.level["a"] + [one for one in (0, 1)][0])


system = mw.System('''
FOREST = """from sklearn.ensemble import HistGradientBoostingRegressor

system = mw.System("""
MODEL = "LGBMRegressor(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1)"
OTHERS = {
    "homemade": {"system = mw.System(": HOMEMADE, MODEL: "Homemade()", 'gate.better_than("baseline")': ""},
    "histograms": {"system = mw.System(": FOREST, MODEL: "HistGradientBoostingRegressor(max_iter=10)"},
}
SYSTEMS = {"disputes": ("disputes", {}), "sales": ("sales", {}), "tickets": ("tickets", {})} | {
    name: ("sales", replace) for name, replace in OTHERS.items()
}
FRESH = """
import json, sys
import modelwright as mw
result = mw.load(sys.argv[1]).rehearse()
names = ("metric", "frozen", "self_running", "baseline", "trainings", "promotions", "rejections", "journal_sha256")
print(json.dumps({name: getattr(result, name) for name in names}))
"""


LONGER = [pytest.param(name, marks=pytest.mark.slow) for name in SYSTEMS if name not in ("sales", "disputes")]


@pytest.mark.parametrize("name", ["sales", "disputes", *LONGER])
def test_two_rehearsals_in_fresh_processes_are_one(declare, name):
    system, replace = SYSTEMS[name]
    file = declare(system, replace)
    found = []
    for seed in ("1", "20"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        said = subprocess.run(
            [sys.executable, "-c", FRESH, str(file)], env=environment, check=True, capture_output=True, text=True
        )
        releases = file.parent / ".modelwright/rehearsal/releases"
        contents = {path.name: json.loads((path / "manifest.json").read_text()) for path in releases.iterdir()}
        found.append((json.loads(said.stdout), contents))
        shutil.rmtree(file.parent / ".modelwright")
    assert found[0][0]["trainings"] >= 2
    assert found[0] == found[1]
    runtimes = {manifest["runtime"] for manifest in found[0][1].values() if manifest["kind"] == "model"}
    assert runtimes == {"native" if name == "homemade" else "compiled"}
    assert any(manifest["kind"] == "baseline" for manifest in found[0][1].values())


@pytest.fixture(scope="module")
def sales(tmp_path_factory, histories):
    """The system, its log's tables and what a training sees of them."""
    folder = tmp_path_factory.mktemp("leak") / "sales"
    shutil.copytree(histories("sales"), folder)
    system = mw.load(folder / "system.py")
    with closing(open_log(system, workspace_of(system))) as log:
        into_log(system, log, source_paths(system))
        return system, log.events(), log.outcomes()


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(day=st.integers(2, 12), seed=st.integers(0, 2**32 - 1))
def test_a_training_row_depends_on_nothing_at_or_after_it(sales, day, seed):
    import pyarrow as pa
    import pyarrow.compute as pc

    system, events, outcomes = sales
    before = make_material(events, outcomes, system)
    now_us = int(before.examples.at_us[0]) + day * 86_400_000_000
    random = np.random.default_rng(seed)

    def scrambled(table, column, at, values):
        late = pc.greater_equal(table[at].cast(pa.int64()), now_us if at == "at" else now_us + 1)
        place = table.schema.get_field_index(column)
        return table.set_column(place, column, pc.if_else(late, pa.array(values), table[column]))

    changed = scrambled(events, "warmth", "at", random.normal(size=events.num_rows) * 1e6)
    changed = scrambled(changed, "shop", "at", random.choice(["s0", "s1", "s9"], events.num_rows))
    told = scrambled(outcomes, "sold", "_known_at", random.normal(size=outcomes.num_rows) * 1e6)
    after = make_material(changed, told, system)

    past = np.flatnonzero(before.examples.at_us < now_us)
    assert len(past) < len(before.examples)
    assert before.examples.version_of(past) == after.examples.version_of(past)
    np.testing.assert_array_equal(before.last_outcome[: len(past)], after.last_outcome[: len(past)])
    one, other = (split_by_time(m.examples, now_us, system.validation_us) for m in (before, after))
    for name in ("train", "train_outcomes", "held_back", "held_back_outcomes"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.at_us == other.at_us
    future = np.arange(len(past), len(before.examples))
    assert before.examples.version_of(future) != after.examples.version_of(future)
