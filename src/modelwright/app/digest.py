"""The summary for somebody who was away: what happened, why, whether it is good now, and what wants a person.

Made once, from the journal and the ledger, and shown three times: `modelwright status --since`, the console, the rehearsal's
report. The sentences are told here from the figures alone, so that all three say the same. Decides nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from modelwright.app.report import figure, gap, metric_label
from modelwright.control.challenge import APPROVAL
from modelwright.control.controller import release_number
from modelwright.control.notice import Told, is_trouble
from modelwright.control.receiver import Receiver
from modelwright.core.clock import iso, to_us
from modelwright.lake.journal import JournalRow, Pointer
from modelwright.monitoring.answers import Answers, Figure, Held, Quality, quality_of
from modelwright.monitoring.drift import DriftAlarm
from modelwright.monitoring.findings import findings_of, folded
from modelwright.monitoring.ledger import Ledger
from modelwright.spec.system import System

EVENTS = 12
"""So many of the latest decisions are told; the journal has all."""
TOLD = frozenset({"promoted", "rejected", "rolled_back", "paused", "resumed"})
"""What is told besides trouble: decisions that change what answers, or who may change it. A training is counted."""

Verdict = Literal["good", "watch", "bad", "unknown"]


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One decision in plain words."""

    at: str
    seq: int
    kind: str
    said: str


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """A period in words and figures. `headline` answers whether it is good now, `work` what was done, `problems` what is
    wrong as the period ends, `wants` what waits for a person. `earlier` decisions are left out of `happened`, latest first."""

    since: str
    until: str
    verdict: Verdict
    headline: str
    work: str
    answers: int
    counts: dict[str, int]
    quality: Quality | None
    problems: list[str]
    wants: list[str]
    happened: list[Happened]
    earlier: int


@dataclass(frozen=True)
class Period:
    """What a digest is made from: the whole journal up to the end of the period, and how things stand there."""

    system: System
    rows: Sequence[JournalRow]
    pointer: Pointer
    quality: Quality | None
    answers: int
    since_us: int
    until_us: int
    receivers: Sequence[Receiver] = ()

    @property
    def span(self) -> str:
        """Its length, as people say it."""
        return spoken(self.until_us - self.since_us)


def digest(period: Period) -> Digest:
    """Put a period into words."""
    told, news = Told(), []
    for row in period.rows:
        fresh = told.is_new(row)
        if _us(row) >= period.since_us and ((is_trouble(row) and fresh) or row.kind in TOLD):
            news.append(row)
    counts: dict[str, int] = {}
    for row in period.rows:
        if _us(row) >= period.since_us and (row.kind != "parity" or row.evidence["differ"]):
            counts[row.kind] = counts.get(row.kind, 0) + 1
    problems, wants = list(_problems(period)), list(_wants(period))
    verdict = _verdict(period, problems, wants)
    return Digest(
        since=iso(period.since_us), until=iso(period.until_us), verdict=verdict,
        headline=_headline(period, verdict), work=_work(period, counts), answers=period.answers, counts=counts,
        quality=period.quality, problems=problems, wants=wants,
        happened=[Happened(at=row.at, seq=row.seq, kind=row.kind, said=_said(row)) for row in news[: -EVENTS - 1 : -1]],
        earlier=max(0, len(news) - EVENTS),
    )  # fmt: skip


def period_of(
    system: System, pointer: Pointer, rows: Sequence[JournalRow], ledger: Ledger, answers: Answers, since_us: int,
    until_us: int, receivers: Sequence[Receiver] = (),
) -> Period:  # fmt: skip
    """A period of a system. `answers` are the ledger's, as far back as twice the period; `rows` the whole journal."""
    begin_us = max(since_us, 0)
    return Period(
        system=system, rows=rows, pointer=pointer, quality=quality_of(system, ledger, answers, begin_us, until_us),
        answers=int(((answers.at_us >= begin_us) & (answers.at_us <= until_us)).sum()) + ledger.waiting_since(begin_us),
        since_us=begin_us, until_us=until_us, receivers=receivers,
    )  # fmt: skip


def last_us(rows: Sequence[JournalRow], ledger: Ledger) -> int:
    """The last moment that is known of: of a decision, or of a request with a known outcome."""
    return max([0, *(_us(row) for row in rows[-1:]), *ledger.account.at_us])


def spoken(length_us: int) -> str:
    """A length of time in words, to the hour.

    >>> spoken(7 * 86_400_000_000), spoken(3_600_000_000), spoken(90_000_000_000)
    ('7 days', '1 hour', '25 hours')
    """
    hours = max(1, round(length_us / 3_600_000_000))
    number, unit = (hours // 24, "day") if hours % 24 == 0 and hours >= 48 else (hours, "hour")
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def with_interval(value: Figure, metric: str) -> str:
    """A figure as people read it: 91.2% (90.1% to 92.3%)."""
    if value.low is None or value.high is None:
        return figure(value.value, metric)
    return f"{figure(value.value, metric)} ({figure(value.low, metric)} to {figure(value.high, metric)})"


def _verdict(period: Period, problems: Sequence[str], wants: Sequence[str]) -> Verdict:
    quality = period.quality
    if period.pointer.champion is None or (quality and any(one.surely and not one.holds for one in quality.gates)):
        return "bad"
    if problems or wants:
        return "watch"
    return "unknown" if quality is None or quality.now is None else "good"


def _headline(period: Period, verdict: Verdict) -> str:
    quality, metric = period.quality, period.system.metric.name
    if period.pointer.champion is None:
        return "Nothing is live: no request is answered."
    if quality is None or quality.now is None:
        return f"How good it is now cannot be said: {_unknown(period)}."
    words = {"good": "Good", "watch": "Worth a look", "bad": "Not good enough", "unknown": "Unknown"}[verdict]
    parts = [f"{words}: {metric_label(metric)} {with_interval(quality.now, metric)}"]
    parts += [_against_gate(held, metric) for held in quality.gates]
    if quality.before is not None:
        parts.append(_against_before(quality, period.span))
    return ", ".join(parts) + "."


def _unknown(period: Period) -> str:
    if not period.answers:
        return f"no request came in {period.span}"
    if period.quality is not None and period.quality.known:
        known = f"the {period.quality.known:,} outcomes of {period.span}"
        return f"{metric_label(period.system.metric.name)} is not defined over {known}, as where all are of one kind"
    delay = period.system.label.known_after
    return (
        f"no outcome is known of the {period.answers:,} answers of {period.span} (it is known {delay} after the event)"
    )


def _against_gate(held: Held, steering: str) -> str:
    side = "above" if held.holds == held.at_least else "below"
    chance = "" if held.surely else " (by no more than chance)"
    which = "" if held.metric == steering else f"{metric_label(held.metric)} {with_interval(held.figure, held.metric)} "
    return f"{which}{side} its gate of {figure(held.bound, held.metric)}{chance}"


def _against_before(quality: Quality, span: str) -> str:
    assert quality.now is not None and quality.before is not None
    metric = {"name": quality.metric, "higher_is_better": quality.higher_is_better}
    before = figure(quality.before.value, quality.metric)
    if quality.change:
        return f"{gap(quality.now.value, quality.before.value, metric)} {quality.change} than in the {span} before ({before})"
    return f"no different from the {span} before ({before}) beyond chance"


def _work(period: Period, counts: dict[str, int]) -> str:
    trained = counts.get("trained", 0)
    done = [f"answered {_count(period.answers, 'request')}", f"trained {_count(trained, 'model')}"]
    done += [f"promoted {counts['promoted']:,}"] if counts.get("promoted") else []
    done += [f"rejected {counts['rejected']:,}"] if counts.get("rejected") else []
    done += [f"rolled back {counts['rolled_back']:,}"] if counts.get("rolled_back") else []
    raised = counts.get("alert", 0)
    done += [f"raised {_count(raised, 'alert')}"] if raised else []
    done += [f"met {_count(counts['error'], 'error')}"] if counts.get("error") else []
    return f"In {period.span} it {', '.join(done[:-1])} and {done[-1]}."


def _problems(period: Period) -> Iterator[str]:
    """What is wrong as the period ends."""
    champion, rows, quality = period.pointer.champion, period.rows, period.quality
    if champion is None:
        yield "no release is live: there is too little history, or every training failed"
        return
    if release_number(champion) == 0:
        yield "the baseline answers: no model has passed its gates, or the last one failed live"
    if quality is not None:
        yield from _below(quality)
    begun_us = _us(rows[0]) if rows else period.until_us
    if not period.answers and begun_us < period.since_us:  # one that has only begun may wait for its first
        yield f"no request came in {period.span}"
    alarms = [row for row in rows if row.kind == "alert" and "drifted" in row.evidence and row.release == champion]
    found = folded(findings_of((champion, msgspec.convert(row.evidence, DriftAlarm)) for row in alarms))
    if found:
        # A feature that drifted alone is named itself: of the column it is computed from nothing is known.
        names = list(dict.fromkeys((len(one) > 1 and one[0].series) or one[0].name for one in found))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"requests have drifted from what {champion} learned from: {', '.join(names[:3])}{more}"
    turns = {
        (row.evidence["what"], row.evidence["of"]): row
        for row in rows
        if row.kind == "alert" and "what" in row.evidence
    }
    yield from (row.summary for row in turns.values() if row.evidence["state"] == "raised")
    failed = [row for row in rows if row.kind == "trained" or (row.kind == "error" and row.evidence.get("number"))]
    streak = next((place for place, row in enumerate(reversed(failed)) if row.kind == "trained"), len(failed))
    if streak:
        times = "" if streak == 1 else f", {streak:,} times in a row"
        yield f"{failed[-1].summary}{times}"
    parity = next((row for row in reversed(rows) if row.kind == "parity"), None)
    if parity is not None and parity.evidence["differ"]:
        yield parity.summary
    back = [row for row in rows if row.kind == "rolled_back" and _us(row) >= period.since_us]
    live = next((row for row in reversed(rows) if row.kind in ("promoted", "rolled_back")), None)
    if back and live is not None and live.kind == "rolled_back":
        yield f"{live.release} was taken out of service and nothing newer has replaced it: {live.summary}"
    for one in period.receivers:
        if one.failing_us:
            since = iso(one.failing_us)[:16].replace("T", " ")
            yield f"{one.name} takes no alert since {since} ({one.error}); {one.waiting:,} waiting"


def _below(quality: Quality) -> Iterator[str]:
    for held in quality.gates:
        if not held.holds:
            side = "below" if held.at_least else "above"
            chance = "" if held.surely else ", which may be chance"
            said = with_interval(held.figure, held.metric)
            yield f"{metric_label(held.metric)} is {said}, {side} the gate of {figure(held.bound, held.metric)}{chance}"
    if quality.change == "worse":
        yield f"{metric_label(quality.metric)} is worse than in the period before, by more than chance"
    now = quality.now
    for name, rival in quality.rivals.items():
        if now is None or now.low is None or now.high is None:
            continue
        if rival.value > now.high if quality.higher_is_better else rival.value < now.low:
            yield f"{name} does better on the same requests: {figure(rival.value, quality.metric)}"


def _wants(period: Period) -> Iterator[str]:
    """What waits for a person, each with what to type."""
    pointer = period.pointer
    if pointer.phase == APPROVAL:
        until = iso(pointer.since_us + period.system.rollout.within_us)[:16].replace("T", " ")
        yield (
            f"{pointer.challenger} waits for `modelwright approve --why ...` or `modelwright reject --why ...`; it is dropped on "
            f"{until} otherwise"
        )
    if pointer.paused:
        last = next((row for row in reversed(period.rows) if row.kind == "paused"), None)
        since = "" if last is None else f" since {last.at[:16].replace('T', ' ')} ({last.summary})"
        yield f"the loop is paused{since}; `modelwright resume --why ...` lets it decide again"


def _said(row: JournalRow) -> str:
    """A decision in words for somebody who has not followed."""
    number = "" if row.release is None else row.release.partition("-")[0]
    said = {
        "promoted": f"{number} answers now: {row.summary}",
        "rejected": f"{number} was not taken: {row.summary}",
        "rolled_back": f"{number} was taken out of service: {row.summary}",
    }
    return said.get(row.kind, row.summary)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if number else f"no {noun}"


def _us(row: JournalRow) -> int:
    return to_us(datetime.fromisoformat(row.at))
