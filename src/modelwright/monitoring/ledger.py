"""The ledger: predictions waiting for their outcomes, and the account of those that have met.

It is a view of the log: fed with the log's rows in order, by whoever reads them (the rehearsal in batches, the running
system from the tail), it can be thrown away and fed again to the same state. It decides nothing.
"""

import bisect
import heapq
import itertools
import operator
from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from modelwright.stats.losses import row_losses
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions

RECENT = 20_000
"""Latest settled answers of each release that are surely kept in order, of those that are due, for the estimate."""


class Scored(msgspec.Struct, frozen=True, gc=False):
    """What one release said about one event; `classes` of texts, which each release may know others of, name the columns
    of `probabilities`."""

    release: str
    value: Any
    probabilities: tuple[float, ...] | None
    classes: tuple[bool | str, ...] = ()


@dataclass
class Account:
    """Settled predictions of one series (the champion of the day, the frozen one), in the order of settling."""

    event_seq: list[int] = field(default_factory=list)
    at_us: list[int] = field(default_factory=list)
    outcome: list[Any] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.at_us)


SCORES = 1_000
"""Latest scores, or amounts, of each release that are kept, for the guards."""


class Ledger:
    """Meets predictions with outcomes. `metric` names the steering metric, `classes` the label's (empty for amounts)."""

    def __init__(self, metric: str, classes: tuple[bool | str, ...]) -> None:
        self.metric = metric
        self.classes = classes
        self.account = Account()
        self.predictions = 0
        self.outcomes = 0
        self._champion: dict[int, tuple[int, Scored]] = {}
        self._challenger: dict[int, Scored] = {}
        self._answered: dict[str, list[tuple[int, int]]] = {}
        self._untaken: dict[str, list[tuple[int, int]]] = {}
        self._loss = array("d")  # by place in the account
        self._pairs: list[tuple[int, int, str, str, float, float]] = []
        self._paired = itertools.count()
        self._newly: dict[int, Any] = {}
        self._scores: dict[str, deque[float]] = {}
        self._settled: dict[int, int] = {}

    def predicted(self, event_seq: int, at_us: int, scored: Scored, *, challenger: bool = False) -> None:
        """A prediction was made: the one that was answered, usually the champion's; or the other's beside it, usually the
        challenger's (`challenger`). In a canary they change places for a share of the events."""
        self._note_score(scored)
        if challenger:
            self._challenger[event_seq] = scored
        else:
            self.predictions += 1
            self._champion[event_seq] = (at_us, scored)

    def known(self, event_seq: int, outcome: Any) -> None:
        """An outcome became known. Outcomes of events that were never predicted only count."""
        self.outcomes += 1
        place = self._settled.get(event_seq)
        if place is not None:  # a correction: the account follows, decisions already taken stand
            self.account.outcome[place] = outcome
        elif event_seq in self._champion:
            self._newly[event_seq] = outcome  # the latest, where it was corrected before it was settled

    def settle(self) -> None:
        """Work out the losses of all that has met since the last call."""
        if not self._newly:
            return
        asked = [self._champion.pop(event_seq) for event_seq in self._newly]
        champions = [scored for _, scored in asked]
        outcomes = list(self._newly.values())
        losses = self._row_losses(outcomes, champions)
        paired = [
            (index, self._challenger.pop(event_seq))
            for index, event_seq in enumerate(self._newly)
            if event_seq in self._challenger
        ]
        if paired:
            theirs = self._row_losses([outcomes[index] for index, _ in paired], [scored for _, scored in paired])
            for (index, scored), loss in zip(paired, theirs, strict=True):
                answered_us, answered = asked[index]
                pair = (
                    answered_us,
                    next(self._paired),
                    answered.release,
                    scored.release,
                    float(losses[index]),
                    float(loss),
                )
                heapq.heappush(self._pairs, pair)
        for (event_seq, outcome), (at_us, scored), loss in zip(self._newly.items(), asked, losses, strict=True):
            place = self._settled[event_seq] = len(self.account)
            self.account.event_seq.append(event_seq)
            self.account.at_us.append(at_us)
            self.account.outcome.append(outcome)
            self.account.scored.append(scored)
            self._loss.append(loss)
            answer = (at_us, place)
            bisect.insort(self._answered.setdefault(scored.release, []), answer)
            heapq.heappush(self._untaken.setdefault(scored.release, []), answer)
        self._newly = {}

    def take_pairs(self, champion: str, challenger: str, due_us: int, since_us: int = 0) -> list[tuple[float, float]]:
        """(champion's loss, challenger's loss) of what both have scored since the last call, whoever's answer was sent, in
        order of settling; of events from `since_us` up to `due_us`, the newest whose outcome is due.

        What is known of later ones is not like the rest of them (frauds are told at once, and what is none after a month): it
        waits for its turn.
        """
        due = sorted(_taken(self._pairs, due_us), key=operator.itemgetter(1))
        return [
            (ours, theirs) if one == champion else (theirs, ours)
            for at_us, _, one, other, ours, theirs in due
            if at_us >= since_us and (one, other) in ((champion, challenger), (challenger, champion))
        ]

    def forget_challenger(self) -> None:
        """A rollout ended: what waits for an outcome of its challenger is no longer wanted."""
        self._challenger.clear()
        self._pairs = []

    def take_losses(self, release: str, due_us: int, since_us: int = 0) -> list[float]:
        """The losses of that release's answers since the last call, in the order of the events; taken when due, as pairs are."""
        due = _taken(self._untaken.get(release, []), due_us)
        return [self._loss[place] for at_us, place in due if at_us >= since_us]

    def recent_places(self, release: str, rows: int, due_us: int) -> list[int]:
        """Where in the account up to `rows` latest answers of that release stand that have an outcome, of those up to `due_us`,
        in the order of the events."""
        answered = self._answered.get(release, [])
        end = bisect.bisect_right(answered, due_us, key=operator.itemgetter(0))
        if end > 2 * RECENT:
            del answered[: end - RECENT]
            end = RECENT
        return [place for _, place in answered[max(0, end - rows) : end]]

    def waiting(self, release: str, rows: int, due_us: int) -> list[Scored]:
        """Up to `rows` latest answers of that release whose outcome is not due, known or not; and those that are overdue."""
        answered = self._answered.get(release, [])
        early = answered[bisect.bisect_right(answered, due_us, key=operator.itemgetter(0)) :]
        newest = itertools.islice(reversed(self._champion.values()), rows)
        found = [asked for asked in newest if asked[1].release == release]
        found += [(at_us, self.account.scored[place]) for at_us, place in early[-rows:]]
        found.sort(key=operator.itemgetter(0), reverse=True)
        return [scored for _, scored in found[:rows]]

    def recent_scores(self, release: str, rows: int) -> Array:
        """Up to `rows` latest scores, or amounts, of that release, whether its answer was sent or not."""
        kept = self._scores.get(release, ())
        return np.fromiter(itertools.islice(kept, max(0, len(kept) - rows), None), np.float64)

    def _note_score(self, scored: Scored) -> None:
        if not self.classes:
            score = float(scored.value)
        elif self.classes == (False, True) and scored.probabilities is not None:
            score = scored.probabilities[1]
        else:
            return
        kept = self._scores.get(scored.release)
        if kept is None:
            kept = self._scores[scored.release] = deque(maxlen=SCORES)
        kept.append(score)

    def waiting_since(self, at_us: int) -> int:
        """How many answers from that moment on have no outcome yet."""
        newest = itertools.takewhile(lambda asked: asked[0] >= at_us, reversed(self._champion.values()))
        return sum(1 for _ in newest)

    def value(self, first: int = 0) -> float:
        """The metric over the account from place `first` on; NaN where it is empty."""
        return account_value(self.metric, self.account, self.classes, slice(first, None))

    def _row_losses(self, outcomes: list[Any], scored: list[Scored]) -> Array:
        return row_losses(self.metric, as_outcomes(outcomes, self.classes), as_predictions(scored, self.classes))


def _taken(waiting: list[Any], due_us: int) -> list[Any]:
    """What a heap by time holds up to `due_us`, taken out of it, in order."""
    due = []
    while waiting and waiting[0][0] <= due_us:
        due.append(heapq.heappop(waiting))
    return due


def as_outcomes(outcomes: list[Any], classes: tuple[bool | str, ...]) -> Array:
    """[n] outcomes in the dtype metrics expect."""
    return np.array(outcomes, dtype=bool if classes == (False, True) else object if classes else np.float64)


def as_predictions(scored: list[Scored], classes: tuple[bool | str, ...]) -> Predictions:
    """Many single answers as one `Predictions`. A class that a release has never seen has probability 0 with it."""
    value = as_outcomes([one.value for one in scored], classes)
    if not classes or any(one.probabilities is None for one in scored):
        return Predictions(value, None, classes)
    if classes == (False, True):
        return Predictions(value, np.array([one.probabilities for one in scored], dtype=np.float64), classes)
    given = {one.classes for one in scored}
    known = tuple(sorted({name for names in given for name in names}))
    columns = {names: [known.index(name) for name in names] for names in given}
    probabilities = np.zeros((len(scored), len(known)))
    for row, one in enumerate(scored):
        probabilities[row, columns[one.classes]] = one.probabilities
    return Predictions(value, probabilities, known or classes)


def account_value(metric: str, account: Account, classes: tuple[bool | str, ...], rows: slice) -> float:
    """The metric over some of an account."""
    outcomes = as_outcomes(account.outcome[rows], classes)
    return metric_value(metric, outcomes, as_predictions(account.scored[rows], classes))
