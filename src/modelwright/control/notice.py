"""What people are told of a decision: what happened, since when, how sure that is, what the system did, what is left to do.

Between the journal and whoever sends messages. A pure function of a row and the declaration, so that a rehearsal says word for
word what would have been sent. Decides nothing and sends nothing.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from modelwright.control.triggers.on_drift import OnDrift
from modelwright.core.clock import iso, to_us
from modelwright.core.durations import duration_text, duration_us
from modelwright.lake.journal import JournalRow
from modelwright.monitoring.drift import DriftAlarm
from modelwright.monitoring.findings import likelier
from modelwright.spec.alert import Alert
from modelwright.spec.system import System

QUIET_US = duration_us("1d")
"""The same thing is told again only after it has not happened for so long."""
SEEN = "This was seen, not estimated."


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `id` is the same whenever it is sent, so that a receiver can tell a repetition."""

    id: str
    system: str
    kind: str
    release: str | None
    at: str
    what: str
    since: str
    sure: str
    did: str
    advice: str

    @property
    def title(self) -> str:
        """In one line."""
        return f"{self.system}: {self.what}"

    @property
    def text(self) -> str:
        """For people, in a few lines."""
        since = self.since[:16].replace("T", " ")
        lines = [self.title, f"Since {since} UTC. {self.sure}".strip()]
        lines += [f"What the system did: {self.did}"] if self.did else []
        return "\n".join([*lines, *([f"What to do: {self.advice}"] if self.advice else [])])


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a rehearsal, and whom it would have been sent to."""

    to: tuple[str, ...]
    notice: Notice


class Told:
    """Tells what is new from what goes on. Fed with every row, in order. State: when each thing last happened; of data that may
    be off, what was last told, and when it was last told to have ended."""

    def __init__(self) -> None:
        self._last_us: dict[str, int] = {}
        self._told: dict[tuple[str, str], str] = {}
        self._ended_us: dict[tuple[str, str], int] = {}

    def is_new(self, row: JournalRow) -> bool:
        """Whether the row's thing has not happened for a day before it; of data that is off, whether people believe otherwise."""
        thing, at_us = thing_of(row), _us(row.at)
        before = self._last_us.get(thing)
        self._last_us[thing] = at_us
        quiet = before is None or at_us - before >= QUIET_US
        return self._turned(row.evidence, at_us, quiet=quiet) if "what" in row.evidence else quiet

    def _turned(self, evidence: dict[str, Any], at_us: int, *, quiet: bool) -> bool:
        """What comes and goes is not told each time, and the last word of a day is that it is off: who was told that it has
        ended must hear that it is back."""
        stream, state = (evidence["what"], evidence["of"]), evidence["state"]
        if state == "superseded":
            self._told.pop(stream, None)
            return quiet
        fresh = quiet
        if state == "raised":
            fresh = quiet or self._told.get(stream) != "raised"
        elif stream in self._ended_us:
            fresh = at_us - self._ended_us[stream] >= QUIET_US
        if fresh:
            self._told[stream] = state
        if fresh and state == "cleared":
            self._ended_us[stream] = at_us
        return fresh


def thing_of(row: JournalRow) -> str:
    """What a row is about, whatever its figures: two rows of one thing are one piece of news."""
    if "drifted" in row.evidence:
        said = ",".join(sorted(one["name"] for one in row.evidence["drifted"]))
    else:
        said = re.sub(r"[-+]?\d[\d.,:]*(e[-+]?\d+)?", "#", row.summary)
    return f"{row.kind} {row.release or ''} {said}"


FAILS = ("errors", "latency", "scores")
"""By what a challenger was sent home because it fails, and not because it is worse."""


def is_trouble(row: JournalRow) -> bool:
    """Whether people want to know of it though nobody has asked: trouble, and what waits for a person."""
    if row.kind == "parity":
        return bool(row.evidence["differ"])
    if row.kind == "alert":  # of data that is off, that it is watched anew for another release is no news
        return row.evidence.get("state") != "superseded"
    if row.kind == "rejected":
        return row.evidence.get("by") in FAILS
    return row.kind in ("rolled_back", "error")


def wanted(row: JournalRow, kinds: Sequence[str]) -> bool:
    """Whether a receiver of these kinds is told of it."""
    return row.kind in kinds if kinds else is_trouble(row)


def would_send(rows: Iterable[JournalRow], system: System, alerts: Sequence[Alert]) -> list[Withheld]:
    """What a run would have sent of these rows, the whole journal, and to whom."""
    told, found = Told(), []
    for row in rows:
        if told.is_new(row):
            to = tuple(one.name for one in alerts if wanted(row, one.kinds))
            if to:
                found.append(Withheld(to=to, notice=notice_of(row, system)))
    return found


def notice_of(row: JournalRow, system: System) -> Notice:
    """A row of the journal in words."""
    words = _WORDS.get(row.kind, _decided)(row, system)
    return Notice(
        id=f"{system.name}-{row.seq}-{row.hash[:12]}", system=system.name, kind=row.kind, release=row.release, at=row.at,
        what=words.what or row.summary, since=words.since or row.at, sure=words.sure, did=words.did, advice=words.advice,
    )  # fmt: skip


def trial_notice(system: System, now_us: int) -> Notice:
    """What `modelwright try-alerts` sends."""
    at = iso(now_us)
    return Notice(
        id=f"{system.name}-test-{now_us}", system=system.name, kind="test", release=None, at=at, since=at,
        what="this is a test; nothing has happened", sure="Somebody ran `modelwright try-alerts`.",
        did="it sent this message", advice="",
    )  # fmt: skip


class _Words(msgspec.Struct, frozen=True, kw_only=True):
    """A row in words: `what` where the summary alone does not say it, `since` where that is not when it was decided."""

    what: str = ""
    since: str = ""
    sure: str = SEEN
    did: str
    advice: str = ""


def _alert(row: JournalRow, system: System) -> _Words:
    evidence = row.evidence
    if "drifted" in evidence:
        return _drift(row, system)
    if "held" in evidence:
        did = "nothing; it trains as soon as cool_down and at_most allow"
        return _Words(did=did, advice="if it cannot wait, `modelwright train` trains a candidate now")
    if "needed" in evidence:
        within = duration_text(system.rollout.within_us)
        return _Words(
            sure=_by_test(evidence),
            did=f"the challenger goes on as it is, beside the champion; after {within} without an answer it is dropped",
            advice="`modelwright approve --why ...`, or `modelwright reject --why ...`",
        )
    if evidence.get("state", "raised") != "raised":
        return _Words(did="nothing; it goes on")
    since_us, log10 = evidence.get("since_us"), evidence.get("log10")
    return _Words(
        since="" if since_us is None else iso(since_us),
        sure=SEEN if log10 is None else f"What came since is {likelier(log10)} with a change than without one.",
        did="nothing by itself; the champion goes on answering",
        advice="see whether what sends the data is well; `modelwright status` says how things stand",
    )


def _drift(row: JournalRow, system: System) -> _Words:
    alarm = msgspec.convert(row.evidence, DriftAlarm)
    surest = max(one.log10 for one in alarm.drifted)
    sure = (
        f"The requests since are {likelier(surest)} with this change than without one; at most one false "
        f"alarm in {duration_text(system.monitor.false_alarm_us)} is to be expected."
    )
    if any(isinstance(trigger, OnDrift) for trigger in system.retrain):
        did = "has `retrain.on_drift()` look at it: where the drift is large enough and its pace allows, a model is trained"
        advice = "nothing if the world has changed; if a source is broken, repair it and `modelwright pause` meanwhile"
    else:
        did = "nothing: no `retrain.on_drift()` is declared; the champion goes on answering"
        advice = "`modelwright status` says how good the answers are; if the world has changed, `modelwright train`"
    return _Words(since=min(one.since for one in alarm.drifted), sure=sure, did=did, advice=advice)


def _rolled_back(row: JournalRow, system: System) -> _Words:
    if row.evidence.get("by") == "person":
        return _Words(did="let the release before answer again, from the next request on")
    if "by" in row.evidence:  # a guard: it answered, but not as it should
        return _Words(
            sure=_by_test(row.evidence) if "needed" in row.evidence else "",
            did=f"took {row.release} out of service; the release before it answers, from the next request on",
            advice="nothing is urgent; `modelwright journal` has the figures, for whoever looks at the next release",
        )
    return _Words(
        did=f"took {row.release} out of service and let the release before it answer, the failed request included",
        advice="requests are answered; see why it failed before the next release is approved",
    )


def _rejected(row: JournalRow, system: System) -> _Words:
    if row.evidence.get("by") not in FAILS:
        return _decided(row, system)
    did = "sent the challenger home; the champion answers every request"
    return _Words(what=f"challenger {row.summary}", did=did, advice="nothing is urgent; see why it failed")


def _error(row: JournalRow, system: System) -> _Words:
    if "number" not in row.evidence:
        return _Words(did="went on", advice="see what the message names; `modelwright journal` has every row")
    return _Words(
        did="nothing new is live; the champion goes on answering, and after a pause, longer each time, it trains again",
        advice="see what the message names; `modelwright train` tries again now",
    )


def _parity(row: JournalRow, system: System) -> _Words:
    if not row.evidence["differ"]:
        return _decided(row, system)
    did = "nothing: what differs is told and not acted upon; the champion goes on answering"
    return _Words(did=did, advice="`modelwright parity` shows the first of each")


def _decided(row: JournalRow, system: System) -> _Words:
    """Whatever else somebody has asked to be told of."""
    kind = "" if row.summary.startswith(row.kind) else f"{row.kind.replace('_', ' ')}: "
    release = f"{row.release}: " if row.release and row.release not in row.summary else ""
    return _Words(
        what=f"{kind}{release}{row.summary}",
        sure=_by_test(row.evidence) if "needed" in row.evidence else "",
        did="it answers, from the next request on" if row.kind == "promoted" else "",
    )


_WORDS: dict[str, Callable[[JournalRow, System], _Words]] = {
    "alert": _alert, "rolled_back": _rolled_back, "rejected": _rejected, "error": _error, "parity": _parity,
}  # fmt: skip


def _by_test(evidence: dict[str, Any]) -> str:
    return (
        f"A test that may be looked at at any time: {evidence['evidence']:.3g} to 1, where {evidence['needed']:.3g} to 1 is "
        f"asked for, over {evidence['pairs']:,} pairs."
    )


def _us(text: Any) -> int:
    return to_us(datetime.fromisoformat(text))
