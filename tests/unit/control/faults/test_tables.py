"""A fault changes what it says from where it says on, and not a row more; what the contract refuses is gone, outcome and all."""

import shutil

import numpy as np
import pyarrow as pa
import pytest

import modelwright as mw
from modelwright.app.commands.rehearse import Silent, with_tables
from modelwright.control.faults.fault import times_of
from modelwright.control.faults.grammar import parse_fault
from modelwright.control.material import Tables
from modelwright.core.errors import UsageError

DAY = 86_400_000_000


class Told:
    """A system's history, and faults put into it."""

    def __init__(self, system):
        self.system = system
        self.tables = with_tables(system, Silent())
        self.at_us = np.sort(times_of(self.tables, system))

    def with_fault(self, text, start=600):
        """The stretch and the damaged history."""
        fault = parse_fault(text, self.system)
        stretch = fault.placed(self.at_us, start)
        return stretch, fault.put_into(self.tables, self.system, stretch)

    def inside(self, stretch):
        """Which rows of the table are within it."""
        at_us = times_of(self.tables, self.system)
        return (at_us >= stretch.begin_us) & (at_us < stretch.end_us)

    def column(self, name, tables=None):
        return (tables or self.tables).events[name].to_numpy()


@pytest.fixture(scope="module")
def told(histories, tmp_path_factory):
    made = {}

    def of(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("faults") / name
            shutil.copytree(histories(name), folder)
            made[name] = Told(mw.load(folder / "system.py"))
        return made[name]

    return of


@pytest.fixture
def parcels(told):
    return told("parcels")


def test_a_column_goes_missing_within_its_stretch_alone(parcels):
    stretch, damaged = parcels.with_fault("missing:distance@0.5-0.7")
    assert (stretch.first, stretch.after) == (1_500, 2_100)
    gone = damaged.tables.events["distance"].is_null().to_numpy()
    assert np.array_equal(gone, parcels.inside(stretch))
    assert (damaged.changed, damaged.refused_us) == (600, ())
    kept = pa.array(~gone)
    assert damaged.tables.events.filter(kept).equals(parcels.tables.events.filter(kept))
    assert damaged.tables.outcomes.equals(parcels.tables.outcomes)


def test_a_row_that_the_contract_refuses_is_in_no_table(parcels):
    _, damaged = parcels.with_fault("missing:weight@0.9")
    assert damaged.refused_us == tuple(parcels.at_us[2_700:])
    assert damaged.reason == "weight is missing, and the field is required"
    assert len(damaged.tables.events) == 2_700
    left = set(damaged.tables.events["_seq"].to_pylist())
    assert set(damaged.tables.outcomes["_event_seq"].to_pylist()) == left


def test_units_change_and_whole_numbers_stay_whole_or_are_refused(parcels):
    stretch, damaged = parcels.with_fault("units:pieces*100")
    inside = parcels.inside(stretch)
    before, after = parcels.column("pieces"), parcels.column("pieces", damaged.tables)
    assert np.array_equal(after, np.where(inside, before * 100, before))
    _, halved = parcels.with_fault("units:pieces/2")
    odd = (before % 2 == 1) & inside
    assert len(halved.refused_us) == odd.sum() > 0
    assert halved.reason.startswith("pieces ")


def test_a_category_is_renamed_and_no_other(parcels):
    stretch, damaged = parcels.with_fault("renamed:depot:north=NORTH@0.6")
    before, after = parcels.column("depot"), parcels.column("depot", damaged.tables)
    renamed = parcels.inside(stretch) & (before == "north")
    assert np.array_equal(after, np.where(renamed, "NORTH", before))
    assert damaged.changed == renamed.sum()


def test_a_sudden_drift_is_by_standard_deviations_of_before(parcels):
    stretch, damaged = parcels.with_fault("shift:distance-2@0.6")
    inside, before = parcels.inside(stretch), parcels.column("distance")
    moved = parcels.column("distance", damaged.tables) - before
    assert np.allclose(moved[inside], -2 * before[times_of(parcels.tables, parcels.system) < stretch.begin_us].std())
    assert not moved[~inside].any()


def test_a_gradual_drift_grows_from_nothing_to_all_of_it(parcels):
    stretch, damaged = parcels.with_fault("gradual:distance+2@0.6-0.8")
    inside, at_us = parcels.inside(stretch), times_of(parcels.tables, parcels.system)
    moved = (parcels.column("distance", damaged.tables) - parcels.column("distance"))[inside]
    _, sudden = parcels.with_fault("shift:distance+2@0.6-0.8")
    whole = (parcels.column("distance", sudden.tables) - parcels.column("distance"))[inside][0]
    progress = (at_us[inside] - stretch.begin_us) / (stretch.end_us - stretch.begin_us)
    assert np.allclose(moved, whole * progress, atol=1e-9)
    assert moved.max() > 0.99 * whole


def test_a_drift_of_whole_numbers_stays_whole(parcels):
    _, damaged = parcels.with_fault("shift:pieces+0.5")
    assert damaged.tables.events["pieces"].type == pa.int64()
    assert not damaged.refused_us


def test_outcomes_come_late_all_at_once_and_no_other_does(parcels):
    stretch, damaged = parcels.with_fault("late:7d@0.5")
    before = parcels.tables.outcomes["_known_at"].cast(pa.int64()).to_numpy()
    after = damaged.tables.outcomes["_known_at"].cast(pa.int64()).to_numpy()
    hit = (before >= stretch.begin_us) & (before < stretch.begin_us + 7 * DAY)
    assert np.array_equal(after, np.where(hit, stretch.begin_us + 7 * DAY, before))
    assert damaged.changed == hit.sum() > 100
    assert damaged.tables.events.equals(parcels.tables.events)


def test_lost_outcomes_are_gone(parcels):
    stretch, damaged = parcels.with_fault("lost:3d@0.5")
    known_us = damaged.tables.outcomes["_known_at"].cast(pa.int64()).to_numpy()
    assert not ((known_us >= stretch.begin_us) & (known_us < stretch.begin_us + 3 * DAY)).any()
    assert len(known_us) + damaged.changed == len(parcels.tables.outcomes)


def test_outcomes_that_are_read_from_later_events_follow_them(told):
    returns = told("returns")
    stretch, damaged = returns.with_fault("units:spent*100@0.6", start=100)
    before = dict(zip(*(returns.tables.outcomes[name].to_pylist() for name in ("_event_seq", "spends")), strict=True))
    after = dict(zip(*(damaged.tables.outcomes[name].to_pylist() for name in ("_event_seq", "spends")), strict=True))
    assert before.keys() == after.keys()
    seqs = returns.tables.events["_seq"].to_numpy()
    at_us = times_of(returns.tables, returns.system)
    long_before = set(seqs[at_us < stretch.begin_us - 2 * DAY].tolist())
    assert long_before
    assert all(before[seq] == after[seq] for seq in long_before & before.keys())
    well_within = set(seqs[at_us >= stretch.begin_us].tolist()) & before.keys()
    assert all(after[seq] == pytest.approx(100 * before[seq]) for seq in well_within)
    assert damaged.tables.outcomes.schema == returns.tables.outcomes.schema


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "missing:distance@0.1",
            "it would begin at 0.1 of the history, and the replay begins at 0.2; give a later @SHARE",
        ),
        ("late:7d@0.1", "it would begin at 0.1 of the history"),
        ("missing:distance@0.6-0.5", "no event is within it"),
        ("missing:distance@1", "no event is within it"),
        ("renamed:depot:nort=x", "no event there has depot 'nort'; the most frequent are 'north', 'south', 'west'"),
    ],
)
def test_what_would_change_nothing_is_refused(parcels, text, message):
    with pytest.raises(UsageError) as raised:
        parcels.with_fault(text)
    assert message in str(raised.value)


def test_a_column_that_does_not_vary_has_no_standard_deviation_to_move_by(parcels):
    column = pa.array(np.full(len(parcels.tables.events), 0.4229))  # whose computed standard deviation is not quite 0
    place = parcels.tables.events.schema.get_field_index("distance")
    events = parcels.tables.events.set_column(place, "distance", column)
    fault = parse_fault("shift:distance+3", parcels.system)
    stretch = fault.placed(parcels.at_us, 600)
    with pytest.raises(UsageError, match=r"distance does not vary before it.*use units:distance\*FACTOR"):
        fault.put_into(Tables(events, parcels.tables.outcomes), parcels.system, stretch)
