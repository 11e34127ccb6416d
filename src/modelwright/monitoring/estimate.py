"""How good answers are before their outcomes come: the accuracy that calibrated probabilities promise, with an interval.

Confidence-based performance estimation (Garg et al., "Leveraging unlabeled data to predict out-of-distribution
performance", ICLR 2022, discuss it as average confidence; NannyML calls it CBPE): where an answer says how probable it is to be
right, the mean of that is the accuracy to expect. Models say so too boldly or too shyly, so what they say is first corrected by
answers whose outcome is known (Platt, "Probabilistic outputs for support vector machines", 1999). It sees a change of the
inputs; one of what follows from them it cannot see, so an estimate is only as sure as those before it turned out to be.
Decides nothing.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from modelwright.monitoring.ledger import Ledger, as_outcomes, as_predictions
from modelwright.stats.intervals import student
from modelwright.stats.predictions import Array, Predictions

CORRECTED_BY = 2_000
"""Answers with a known outcome, the newest, that correct what is said."""
FEWEST = 200
"""Fewer of these, or fewer than `FEWEST_RIGHT` right or wrong ones among them, correct nothing."""
FEWEST_RIGHT = 10
CONFIDENCE = 0.95
WAITING = 5_000
"""So many of the latest answers are looked at, of those with an outcome and of those without."""
REMEMBERED = 40_000
"""Known answers, the newest, that estimates before are looked for among."""
STRETCHES, SHORTEST = 10, 25
"""The known answers make at least so many stretches, of at least so many rows; twice as many, the newest, are looked at."""
STEPS = 25


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The share of right answers among `rows` of them: `value`, and with `CONFIDENCE` between `low` and `high`."""

    value: float
    low: float
    high: float
    rows: int


def confidence_of(said: Predictions) -> Array | None:
    """[n] how probable each answer is to be right, as the release says it; None of amounts, of bare labels, of no answer."""
    if said.probabilities is None or not len(said.value):
        return None
    place = {label: column for column, label in enumerate(said.classes)}
    columns = np.array([place[value] for value in said.value.tolist()], dtype=np.int64)
    return np.asarray(said.probabilities[np.arange(len(columns)), columns])


def estimated(waiting: Array, known: Array, right: Sequence[bool] | Array) -> Estimate | None:
    """The accuracy to expect of answers of these confidences [n], by the confidences [m] of answers that were `right` or
    not; the last of these are the newest. None where too few are known.

    The interval is of what will turn out. It holds the chance in each outcome and the error of the correction, and is as much
    wider as estimates of this kind were too sure before: the known answers are gone through in stretches, each is estimated
    from what was known before it, and compared with what became of it. So it holds outcomes that resemble their neighbours, and
    a world that changes as it has been changing.
    """
    known, truth = known[-REMEMBERED:], np.asarray(right, dtype=float)[-REMEMBERED:]
    if not len(waiting) or len(known) < FEWEST or _few(truth[-CORRECTED_BY:]):
        return None
    value, error = _corrected(waiting, known, truth)
    off = _off_before(min(len(waiting), len(known) // STRETCHES), known, truth)
    reach = error * max(1.0, float(np.mean(off**2)) ** 0.5) * student(CONFIDENCE, len(off))
    low, high = max(0.0, value - reach), min(1.0, value + reach)
    return Estimate(value=_figures(value), low=_figures(low), high=_figures(high), rows=len(waiting))


def ahead_of_outcomes(ledger: Ledger, release: str, due_us: int) -> Estimate | None:
    """The accuracy to expect of a release's latest answers whose outcome is not due yet, by its latest ones whose is; `due_us`
    is when the newest of these was asked for. What is known early tells of neither: it is not like the rest."""
    waiting = ledger.waiting(release, WAITING, due_us)
    account = ledger.account
    places = ledger.recent_places(release, WAITING, due_us)
    if not waiting or len(places) < FEWEST:
        return None
    known = as_predictions([account.scored[place] for place in places], ledger.classes)
    asked, before = confidence_of(as_predictions(waiting, ledger.classes)), confidence_of(known)
    if asked is None or before is None:
        return None
    outcomes = as_outcomes([account.outcome[place] for place in places], ledger.classes)
    return estimated(asked, before, known.value == outcomes)


def _few(truth: Array) -> bool:
    return bool(min(truth.sum(), len(truth) - truth.sum()) < FEWEST_RIGHT)


def _corrected(waiting: Array, known: Array, truth: Array) -> tuple[float, float]:
    """The accuracy to expect, and its error were outcomes independent and the correction here to stay."""
    weights, spread = _correction(_terms(known[-CORRECTED_BY:]), truth[-CORRECTED_BY:])
    terms = _terms(waiting)
    probable = _logistic(terms @ weights)
    slope = (terms * (probable * (1 - probable))[:, None]).mean(axis=0)
    variance = float((probable * (1 - probable)).mean()) / len(waiting) + float(slope @ spread @ slope)
    return float(probable.mean()), variance**0.5


def _off_before(rows: int, known: Array, truth: Array) -> Array:
    """[stretches] by how many of its errors each estimate of a stretch of about so many rows was off, the newest first."""
    rows = max(SHORTEST, rows)
    off: list[float] = []
    end = len(known)
    while end - rows >= FEWEST // 2 and len(off) < 2 * STRETCHES:
        begin = end - rows
        value, error = _corrected(known[begin:end], known[:begin], truth[:begin])
        off.append((float(truth[begin:end].mean()) - value) / max(error, 1e-9))
        end = begin
    return np.array(off)


def _terms(confidence: Array) -> Array:
    """[n, 2] what the correction is linear in: 1 and the confidence's log odds."""
    inside = np.clip(confidence, 1e-6, 1 - 1e-6)
    return np.column_stack([np.ones(len(inside)), np.log(inside / (1 - inside))])


def _correction(terms: Array, truth: Array) -> tuple[Array, Array]:
    """Logistic regression by Newton's steps, and the covariance of its weights; a faint ridge keeps it solvable."""
    weights, ridge = np.array([0.0, 1.0]), 1e-3 * np.eye(2)
    for _ in range(STEPS):
        probable = _logistic(terms @ weights)
        curve = (terms * (probable * (1 - probable))[:, None]).T @ terms + ridge
        step = np.linalg.solve(curve, terms.T @ (truth - probable))
        weights = weights + np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-9:
            break
    return weights, np.linalg.inv(curve)


def _logistic(odds: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -35.0, 35.0))))


def _figures(value: float) -> float:
    return float(f"{value:.4g}")
