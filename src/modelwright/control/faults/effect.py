"""What came of a fault: its rehearsal held against a clean one of the same history.

Both are the same code on the same clock, and equal to the bit until the fault takes effect: so a decision about it that the clean
one had not made as often by then is because of it. Quality is of the same events by the same, true outcomes, those too that the
fault kept from the system. Decides nothing, and looks at no journal but the two.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from modelwright.control.faults.fault import Damaged, Disturbance, Fault, Stretch
from modelwright.control.material import Material
from modelwright.control.occasions import to_us_text
from modelwright.control.rehearse import Rehearsed
from modelwright.control.unit import AMOUNT_SCALE
from modelwright.core.clock import iso
from modelwright.lake.journal import JournalRow
from modelwright.monitoring.ledger import as_outcomes, as_predictions
from modelwright.spec.system import System
from modelwright.stats.losses import row_losses
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions
from modelwright.stats.reference import plain
from modelwright.training.examples import NEVER

PERIODS, FEWEST = 48, 40
"""So many stretches of equally many events a replay is cut into to be drawn, or fewer, so that each has `FEWEST` at least. Fewer
events than that at the end cannot show that quality is back."""
Z = 4.0
"""So many standard errors are no chance, also where the stretch is the worst of all that there are."""
ACTIONS = ("trigger", "trained", "promoted", "rejected", "rolled_back")
TOLD = 6
"""So many of the deeds that followed are told, where none of them settles it."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What first noticed a fault: `by` what kind of a decision (`contract`: its rows are refused), `events` so many events and
    `lasted_us` so long after the fault began."""

    by: str
    at: str
    summary: str
    events: int
    lasted_us: int


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A decision of the loop that followed, and that the clean rehearsal has not taken then."""

    kind: str
    at: str
    release: str | None
    summary: str


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """The steering metric over some events, with the fault and without; None where there are none."""

    faulty: float | None
    clean: float | None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """The same over one stretch of the replay that begins at `at`."""

    at: str
    faulty: float | None
    clean: float | None


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one fault.

    `took_place`: whether there was anything for it to strike; `began` when it did so first, `event` how many events of the
    history were before, `ended` when it was over (None: to the end). `changed` rows it altered, `refused` events the contract
    took no longer, `unanswered` ones that nobody answered for. `noticed`: None for never. `harm`: whether answers were worse
    than in the clean rehearsal by more than the margin that a rollout accepts, beyond chance, and `back` when that was over
    (None: not by the end). `before`, `during` and `after`: the metric up to the fault, from there until quality was back (or
    the fault over), and from there on. `journal_sha256`: of the rehearsal with the fault.
    """

    fault: str
    meaning: str
    took_place: bool
    began: str
    event: int
    ended: str | None
    changed: int
    refused: int
    unanswered: int
    noticed: Notice | None
    done: tuple[Deed, ...]
    harm: bool
    back: str | None
    before: Beside
    during: Beside
    after: Beside
    periods: tuple[Period, ...]
    journal_sha256: str


@dataclass(frozen=True)
class Side:
    """One of the two rehearsals."""

    material: Material
    done: Rehearsed


class Comparison:
    """The answers of both to the events of the clean history whose outcome is known in the end."""

    def __init__(self, system: System, clean: Side, faulty: Side) -> None:
        self._metric = system.metric.name
        self._margin = system.rollout.margin
        self.at_us = clean.material.examples.at_us
        self.start = clean.done.start
        classes = clean.done.ledger.classes
        known = clean.material.examples.known_at(NEVER)
        places = {int(seq): place for place, seq in enumerate(faulty.material.examples.seq)}
        seq = clean.material.examples.seq
        there = [place for place in known.positions if place >= self.start]
        outcome = dict(zip(known.positions.tolist(), known.outcomes.tolist(), strict=True))
        self._sides: dict[str, tuple[Array, Array, Predictions]] = {}
        for name, side in (("clean", clean), ("faulty", faulty)):
            answered = []
            for place in there:
                theirs = place if name == "clean" else places.get(int(seq[place]))
                said = None if theirs is None else side.done.answers[theirs]
                if said is not None:
                    answered.append((int(place), said))
            positions = np.array([place for place, _ in answered], dtype=np.int64)
            outcomes = as_outcomes([outcome[int(place)] for place in positions], classes)
            self._sides[name] = positions, outcomes, as_predictions([said for _, said in answered], classes)
        asked = sum(1 for one in clean.done.answers[self.start :] if one is not None)
        answered_for = sum(1 for one in faulty.done.answers if one is not None)
        self.unanswered = max(0, asked - answered_for)

    def beside(self, begin: int, end: int) -> Beside:
        """The metric over the events from one position to another."""
        found = {}
        for name, (positions, outcomes, said) in self._sides.items():
            rows = slice(*np.searchsorted(positions, (begin, end)))
            found[name] = plain(metric_value(self._metric, outcomes[rows], said.take(rows)))
        return Beside(**found)

    @cached_property
    def edges(self) -> Array:
        """[n + 1] positions that part the replay."""
        periods = max(1, min(PERIODS, (len(self.at_us) - self.start) // FEWEST))
        return np.linspace(self.start, len(self.at_us), periods + 1).astype(np.int64)

    def periods(self) -> tuple[Period, ...]:
        """The metric of both over time."""
        return tuple(
            Period(at=iso(int(self.at_us[begin])), **msgspec.structs.asdict(self.beside(int(begin), int(end))))
            for begin, end in zip(self.edges[:-1], self.edges[1:], strict=True)
        )

    def worse_until(self, first: int) -> int | None:
        """The position up to which answers are worse than the clean ones from `first` on: where the stretch ends that has lost
        most by more than the margin a rollout accepts; the end, where the rest does not show otherwise. None where that is no
        more than chance. An event that is answered no longer has lost all."""
        clean, outcomes, said = self._sides["clean"]
        theirs, their_outcomes, they_said = self._sides["faulty"]
        losses = row_losses(self._metric, outcomes, said)
        whole = 1.0 if said.classes else AMOUNT_SCALE * float(losses.mean())
        more = np.full(len(clean), whole)
        answered = np.isin(clean, theirs, assume_unique=True)
        their_losses = row_losses(self._metric, their_outcomes, they_said)
        more[answered] = their_losses[np.isin(theirs, clean, assume_unique=True)] - losses[answered]
        place = int(np.searchsorted(clean, first))
        accepted = self._margin * whole
        worst = worst_stretch(more[place:], accepted)
        if worst is None:
            return None
        end = place + worst[1]
        rest = more[end:]
        shown = len(rest) >= FEWEST and rest.mean() <= accepted
        return int(clean[end]) if shown else len(self.at_us)


def effect_of(
    system: System,
    fault: Fault,
    stretch: Stretch,
    damaged: Damaged,
    disturbance: Disturbance,
    clean: Side,
    faulty: Side,
) -> Effect:
    """What a rehearsal with a fault shows beside the clean one."""
    compared = Comparison(system, clean, faulty)
    at_us = compared.at_us
    took_place = disturbance.began_us is not None
    began_us = stretch.begin_us if disturbance.began_us is None else disturbance.began_us
    first = int(np.searchsorted(at_us, began_us))
    noticed = None
    if took_place:
        noticed = first_notice(system, fault, damaged, disturbance, clean.done.rows, faulty.done.rows, began_us)
    if noticed is not None:
        events = int(
            np.searchsorted(at_us, to_us_text(noticed.at), side="right" if noticed.by == "contract" else "left")
        )
        noticed = msgspec.structs.replace(noticed, events=events - first)
    ended_us = disturbance.ended_us
    if ended_us is None and noticed is not None and disturbance.release is not None:
        ended_us = to_us_text(noticed.at)
    ended = len(at_us) if ended_us is None else int(np.searchsorted(at_us, ended_us))
    until = compared.worse_until(first) if took_place else None
    over = until if until is not None else max(first, ended)
    back = None if until is None or until >= len(at_us) else iso(int(at_us[until]))
    return Effect(
        fault=fault.text,
        meaning=fault.meaning,
        took_place=took_place,
        began=iso(began_us),
        event=first,
        ended=None if ended_us is None else iso(ended_us),
        changed=damaged.changed,
        refused=len(damaged.refused_us),
        unanswered=compared.unanswered,
        noticed=noticed,
        done=() if noticed is None else _done(clean, faulty, noticed),
        harm=until is not None,
        back=back,
        before=compared.beside(compared.start, first),
        during=compared.beside(first, over),
        after=compared.beside(over, len(at_us)),
        periods=compared.periods(),
        journal_sha256=faulty.done.rows[-1].hash,
    )


def first_notice(
    system: System, fault: Fault, damaged: Damaged, disturbance: Disturbance, clean: Sequence[JournalRow],
    faulty: Sequence[JournalRow], began_us: int,
) -> Notice | None:  # fmt: skip
    """What first noticed it: the contract that refuses its rows, or a decision about it that the clean rehearsal had not made
    as often by then. `clean` and `faulty` are the two journals; the events of a notice are not counted yet."""
    found: list[Notice] = []
    if damaged.refused_us:
        at_us = damaged.refused_us[0]
        summary = f"refused: {damaged.reason}"
        found.append(Notice(by="contract", at=iso(at_us), summary=summary, events=0, lasted_us=at_us - began_us))

    def subjects(rows: Sequence[JournalRow]) -> Iterator[tuple[int, str, JournalRow]]:
        for row in rows:
            at_us = to_us_text(row.at)
            subject = fault.subject_of(row, system, disturbance) if at_us >= began_us else None
            if subject is not None:
                yield at_us, subject, row

    known = [(at_us, subject) for at_us, subject, _ in subjects(clean)]
    told: Counter[str] = Counter()
    for at_us, subject, row in subjects(faulty):
        told[subject] += 1
        if told[subject] > sum(1 for when, other in known if other == subject and when <= at_us):
            found.append(Notice(by=row.kind, at=row.at, summary=row.summary, events=0, lasted_us=at_us - began_us))
            break
    return min(found, key=lambda one: one.lasted_us, default=None)


def _done(clean: Side, faulty: Side, noticed: Notice) -> tuple[Deed, ...]:
    """What the loop did from then on and the clean rehearsal did not at that time, until another release was live."""
    known = {(row.kind, row.at) for row in clean.done.rows}
    deeds = []
    for row in faulty.done.rows:
        if row.kind not in ACTIONS or to_us_text(row.at) < to_us_text(noticed.at) or (row.kind, row.at) in known:
            continue
        deeds.append(Deed(kind=row.kind, at=row.at, release=row.release, summary=row.summary))
        settled = (row.at, row.summary) == (noticed.at, noticed.summary) or row.kind in ("promoted", "rolled_back")
        if settled or len(deeds) == TOLD:
            break
    return tuple(deeds)


def worst_stretch(more: Array, accepted: float) -> tuple[int, int] | None:
    """From where to where answers lost most beyond what is accepted; `more` [n] is what each lost. None where that is no more
    than chance.

    It is looked for twice, the second time beyond half of what was lost on average in the first: what comes by chance before
    and after it would blur its ends.

    >>> worst_stretch(np.array([0.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.0, 1.0]), 0.01)
    (1, 5)
    """
    begin, end = _most_lost(more - accepted)
    if end - begin < 2 or not _above_chance(more[begin:end]):
        return None
    return _most_lost(more - max(accepted, float(more[begin:end].mean()) / 2))


def _most_lost(beyond: Array) -> tuple[int, int]:
    total = np.concatenate([[0.0], np.cumsum(beyond)])
    end = int(np.argmax(total - np.minimum.accumulate(total)))
    return int(np.argmin(total[: end + 1])), end


def _above_chance(more: Array) -> bool:
    mean = float(more.mean())
    return mean > 0 and mean >= Z * float(more.std(ddof=1)) / len(more) ** 0.5
