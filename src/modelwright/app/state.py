"""What the console shows, made from the controller and the log's reader: the object of /console.json."""

import math
import time
from typing import Any

import msgspec

import modelwright
from modelwright.app.lookback import Lookback
from modelwright.app.rehearsal import decision
from modelwright.control.controller import Controller
from modelwright.control.declaration import describe_models
from modelwright.control.quality_alerts import turns_of
from modelwright.core.clock import iso
from modelwright.core.durations import duration_text
from modelwright.lake.journal import JournalRow
from modelwright.lake.log import Log
from modelwright.monitoring.drift import DriftWatch
from modelwright.monitoring.estimate import ahead_of_outcomes
from modelwright.monitoring.findings import findings_of
from modelwright.monitoring.ledger import Account, Scored, account_value
from modelwright.monitoring.parity import last_parity
from modelwright.monitoring.quality import troubles_of
from modelwright.monitoring.slices import Slices, latest_slices
from modelwright.monitoring.tail import LogReader
from modelwright.release.folder import read_manifest
from modelwright.spec.system import System
from modelwright.stats.reference import plain

BUCKETS = 80
JOURNAL_ROWS = 50
SLICE_S = 30.0
"""How old the figures by slice may be."""


class StateBoard:
    """Assembles the state. `frozen_said`: in a replay, what the frozen first model says of each event, by sequence number."""

    def __init__(self, system: System, log: Log, reader: LogReader, mode: str) -> None:
        self._system = system
        self._log = log
        self._reader = reader
        self.mode = mode
        self.phase = "starting"
        self.message = ""
        self.replay: dict[str, Any] | None = None
        self.frozen_said: dict[int, Scored] = {}
        self._rows: list[JournalRow] = []
        self._described: dict[str, Any] | None = None
        self._rate = (time.monotonic(), 0, 0.0)
        self._lookback = Lookback(system, log, reader)
        self._slices: Slices | None = None
        self._sliced = -math.inf

    def decided(self, rows: list[JournalRow]) -> None:
        """Remember what was decided."""
        self._rows += rows

    def snapshot(self, controller: Controller, now_us: int) -> bytes:
        """The state as JSON."""
        account = self._reader.ledger.account
        counts = self._log.counts()
        metric = self._system.metric
        frozen = self.frozen_account()
        state = {
            "version": modelwright.__version__,
            "system": self._describe(counts["events"]),
            "now": iso(now_us),
            "mode": self.mode,
            "phase": self.phase,
            "message": self.message,
            "replay": self.replay,
            "metric": {"name": metric.name, "higher_is_better": metric.higher_is_better},
            "counts": counts,
            "requests_per_second": self._requests_per_second(counts["predictions"]),
            "champion": self._champion(controller, now_us),
            "challenger": self._challenger(controller),
            "frozen": self.figure(frozen, slice(None)),
            "self_running": self.figure(account, slice(None)),
            "series": self._series(),
            "slices": self._latest_slices(),
            "drift": self._drift(),
            "quality": msgspec.to_builtins(troubles_of(turns_of(self._rows))),
            "parity": last_parity(self._rows),
            "digests": self._lookback.digests(self._rows, frozen, now_us),
            "journal": [decision(row) for row in reversed(self._rows[-JOURNAL_ROWS:])],
            "journal_rows": len(self._rows),
        }
        return msgspec.json.encode(state)

    def figure(self, account: Account, rows: slice) -> float | None:
        """The steering metric over some of an account; None where it is empty or the metric not defined."""
        if not len(account):
            return None
        value: float | None = plain(account_value(self._system.metric.name, account, self._reader.ledger.classes, rows))
        return value

    def frozen_account(self) -> Account:
        """The same events and outcomes as the account's, with the frozen model's answers; empty where it has not all."""
        account = self._reader.ledger.account
        said = [self.frozen_said.get(seq) for seq in account.event_seq]
        known = [one for one in said if one is not None]
        if len(known) < len(said):
            return Account()
        return Account(account.event_seq, account.at_us, account.outcome, known)

    def _describe(self, events: int) -> dict[str, Any]:
        system = self._system
        if self._described is None:
            self._described = {
                "name": system.name,
                "event": system.contract.name,
                "label": system.label.name,
                "model": describe_models(system),
                "description": system.contract.description,
            }
        return {**self._described, "rows": events}

    def _requests_per_second(self, predictions: int) -> float:
        then, before, rate = self._rate
        now = time.monotonic()
        if now - then >= 1.0:
            rate = (predictions - before) / (now - then)
            self._rate = (now, predictions, rate)
        return round(rate, 1)

    def _champion(self, controller: Controller, now_us: int) -> dict[str, Any] | None:
        pointer = controller.pointer
        if pointer.champion is None:
            return None
        manifest = read_manifest(self._log.workspace.releases / pointer.champion)
        account = self._reader.ledger.account
        mine = _answered_by(account, pointer.champion)
        due_us = now_us - self._system.label.delay_us
        return {
            "release": pointer.champion,
            "since": iso(pointer.since_us),
            "runtime": manifest.runtime,
            "live": self.figure(mine, slice(None)),
            "n": len(mine),
            "validation": manifest.metrics.get(manifest.metric),
            "estimate": msgspec.to_builtins(ahead_of_outcomes(self._reader.ledger, pointer.champion, due_us)),
        }

    def _challenger(self, controller: Controller) -> dict[str, Any] | None:
        pointer, test = controller.pointer, controller.test
        if pointer.challenger is None or test is None:
            return None
        size = controller.unit(pointer.champion).size if pointer.champion else 1.0
        return {
            "release": pointer.challenger,
            "since": iso(pointer.since_us),
            "share": pointer.share,
            "pairs": test.pairs,
            "needed": self._system.rollout.pairs,
            "difference": test.difference * size if test.pairs else None,
            "lower": None,
            "margin": test.margin * size,
        }

    def _series(self) -> dict[str, list[Any]]:
        account = self._reader.ledger.account
        series: dict[str, list[Any]] = {"at": [], "n": [], "self_running": [], "frozen": [], "baseline": []}
        total = len(account)
        if not total:
            return series
        frozen = self.frozen_account()
        size = max(1, -(-total // BUCKETS))
        for begin in range(0, total, size):
            rows = slice(begin, min(total, begin + size))
            series["at"].append(iso(account.at_us[begin]))
            series["n"].append(rows.stop - begin)
            series["self_running"].append(self.figure(account, rows))
            series["frozen"].append(self.figure(frozen, rows))
            series["baseline"].append(None)
        return series

    def _latest_slices(self) -> dict[str, Any] | None:
        """Read from the log now and then only: whoever looks at slices is in no hurry."""
        ledger = self._reader.ledger
        if len(ledger.account) and time.monotonic() - self._sliced > SLICE_S:
            self._slices = latest_slices(self._log, ledger, self._system.monitor)
            self._sliced = time.monotonic()
        return None if self._slices is None else msgspec.to_builtins(self._slices)

    def _drift(self) -> dict[str, Any]:
        every = duration_text(self._system.monitor.false_alarm_us)
        return {"columns": [], "false_alarm_every": every, **(drift_state(self._reader.drift) or {})}


def _answered_by(account: Account, release: str) -> Account:
    """What of the account one release answered."""
    mine = [place for place, scored in enumerate(account.scored) if scored.release == release]
    return Account(
        [account.event_seq[place] for place in mine],
        [account.at_us[place] for place in mine],
        [account.outcome[place] for place in mine],
        [account.scored[place] for place in mine],
    )


def drift_state(watch: DriftWatch) -> dict[str, Any] | None:
    """The monitor's report with its findings, for `status` and the console; None while no release is followed."""
    if watch.monitor is None or watch.release is None:
        return None
    name, report = watch.release.name, watch.monitor.report()
    findings = findings_of((name, alarm) for alarm in report.alarms)
    return {**msgspec.to_builtins(report), "findings": msgspec.to_builtins(findings)}
