"""How good the answers of a period were: against its gates, the period before, and who else answered the same requests.

A view of the ledger, for people who were away. How good is known only of answers whose outcome is, so a period's answers are
those whose outcome came due in it. Decides nothing: the loop has tests of its own, which may be looked at at any time; these
intervals are for one look.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from modelwright.gates.metric import MetricGate
from modelwright.monitoring.ledger import Ledger, as_outcomes, as_predictions
from modelwright.spec.system import System
from modelwright.stats.intervals import metric_interval
from modelwright.stats.predictions import Array, Predictions

MOST = 20_000
"""So many of a period's outcomes are looked at, the newest: more would make its interval no narrower than anybody can use."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's `value` over `rows`; with 95% it is between `low` and `high`, None where so few rows cannot tell."""

    value: float
    low: float | None
    high: float | None
    rows: int


@dataclass(frozen=True)
class Answers:
    """Answers with a known outcome, in the order of the requests. `rivals`: what others said, or would have said, of each."""

    at_us: Array
    outcomes: Array
    said: Predictions
    rivals: Mapping[str, Predictions] = field(default_factory=dict)

    def between(self, from_us: int, until_us: int) -> "Answers":
        """Those asked for from one moment to before another, the newest `MOST` of them."""
        rows = np.flatnonzero((self.at_us >= from_us) & (self.at_us < until_us))[-MOST:]
        rivals = {name: said.take(rows) for name, said in self.rivals.items()}
        return Answers(self.at_us[rows], self.outcomes[rows], self.said.take(rows), rivals)

    def figure(self, metric: str, of: str | None = None) -> Figure | None:
        """A metric of these answers, or of a rival's."""
        said = self.said if of is None else self.rivals[of]
        try:
            found = metric_interval(metric, self.outcomes, said)
        except ValueError:  # who gives no probabilities has no such metric
            return None
        return (
            None
            if found.value is None
            else Figure(value=found.value, low=found.low, high=found.high, rows=len(self.outcomes))
        )


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that candidates must pass, held to live answers: `surely` where the whole interval is on one side of it."""

    metric: str
    bound: float
    at_least: bool
    figure: Figure
    holds: bool
    surely: bool


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """The steering metric over a period's answers, `now`, and over as long `before` it; `change` is "better", "worse", or
    "" where that may be chance. `rivals` had the same requests. `waiting`: answers of the period without an outcome; `known`:
    those with one, of which `now` may be None all the same, as the metric is not defined where all are of one kind."""

    metric: str
    higher_is_better: bool
    now: Figure | None
    before: Figure | None
    change: str
    gates: list[Held]
    rivals: dict[str, Figure]
    waiting: int
    known: int = 0


def answers_of(ledger: Ledger, rivals: Mapping[str, Predictions] | None = None, since_us: int = 0) -> Answers:
    """The ledger's account from a moment on; `rivals` have as many rows as the whole account."""
    account = ledger.account
    at_us = np.array(account.at_us, dtype=np.int64)
    order = np.argsort(at_us, kind="stable")
    order = order[at_us[order] >= since_us]
    outcomes = as_outcomes([account.outcome[place] for place in order], ledger.classes)
    said = as_predictions([account.scored[place] for place in order], ledger.classes)
    return Answers(at_us[order], outcomes, said, {name: one.take(order) for name, one in (rivals or {}).items()})


def quality_of(system: System, ledger: Ledger, answers: Answers, since_us: int, until_us: int) -> Quality:
    """Of the answers whose outcome came due from one moment to the other."""
    metric, delay_us = system.metric, system.label.delay_us
    begin_us = since_us - delay_us
    mine = answers.between(begin_us, until_us - delay_us + 1)
    now = mine.figure(metric.name)
    before = answers.between(begin_us - (until_us - since_us), begin_us).figure(metric.name)
    rivals = {name: mine.figure(metric.name, name) for name in mine.rivals}
    return Quality(
        metric=metric.name, higher_is_better=metric.higher_is_better, now=now, before=before,
        change=_change(now, before, higher=metric.higher_is_better),
        gates=[held for gate in system.gates if isinstance(gate, MetricGate) and (held := _held(gate, mine))],
        rivals={name: figure for name, figure in rivals.items() if figure is not None},
        waiting=ledger.waiting_since(since_us),
        known=len(mine.outcomes),
    )  # fmt: skip


def apart(one: Figure, other: Figure) -> bool:
    """Whether two figures of different rows differ by more than chance would make them (Newcombe, Stat. Med. 1998)."""
    less, more = sorted((one, other), key=lambda figure: figure.value)
    if less.high is None or more.low is None:
        return False
    return more.value - less.value > math.hypot(more.value - more.low, less.high - less.value)


def _change(now: Figure | None, before: Figure | None, *, higher: bool) -> str:
    if now is None or before is None or not apart(now, before):
        return ""
    return "better" if (now.value > before.value) == higher else "worse"


def _held(gate: MetricGate, answers: Answers) -> Held | None:
    figure = answers.figure(gate.metric)
    if figure is None:
        return None
    at_least = gate.at_least is not None
    bound = gate.at_least if gate.at_least is not None else gate.at_most
    assert bound is not None
    holds = figure.value >= bound if at_least else figure.value <= bound
    surely = figure.low is not None and figure.high is not None and not figure.low < bound < figure.high
    return Held(metric=gate.metric, bound=bound, at_least=at_least, figure=figure, holds=holds, surely=surely)
