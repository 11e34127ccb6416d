"""What the console shows, made from the controller and the log's reader: the object of /console.json."""

import time
from typing import Any

import msgspec

import modelwright
from modelwright.app.rehearsal import decision
from modelwright.control.candidate import describe_model
from modelwright.control.controller import Controller
from modelwright.core.clock import iso
from modelwright.lake.journal import JournalRow
from modelwright.lake.log import Log
from modelwright.monitoring.ledger import Account, Scored, account_value
from modelwright.monitoring.parity import last_parity
from modelwright.monitoring.tail import LogReader
from modelwright.release.folder import read_manifest
from modelwright.spec.system import System
from modelwright.stats.reference import plain

BUCKETS = 80
JOURNAL_ROWS = 50


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

    def decided(self, rows: list[JournalRow]) -> None:
        """Remember what was decided."""
        self._rows += rows

    def snapshot(self, controller: Controller, now_us: int) -> bytes:
        """The state as JSON."""
        account = self._reader.ledger.account
        counts = self._log.counts()
        metric = self._system.metric
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
            "champion": self._champion(controller),
            "challenger": self._challenger(controller),
            "frozen": self.figure(self.frozen_account(), slice(None)),
            "self_running": self.figure(account, slice(None)),
            "series": self._series(),
            "drift": self._drift(),
            "parity": last_parity(self._rows),
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
                "model": describe_model(system.model),
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

    def _champion(self, controller: Controller) -> dict[str, Any] | None:
        pointer = controller.pointer
        if pointer.champion is None:
            return None
        manifest = read_manifest(self._log.workspace.releases / pointer.champion)
        account = self._reader.ledger.account
        mine = 0
        for scored in reversed(account.scored):
            if scored.release != pointer.champion:
                break
            mine += 1
        return {
            "release": pointer.champion,
            "since": iso(pointer.since_us),
            "runtime": manifest.runtime,
            "live": self.figure(account, slice(len(account) - mine, None)),
            "n": mine,
            "validation": manifest.metrics.get(manifest.metric),
        }

    def _challenger(self, controller: Controller) -> dict[str, Any] | None:
        pointer, test = controller.pointer, controller.test
        if pointer.challenger is None or test is None:
            return None
        return {
            "release": pointer.challenger,
            "since": iso(pointer.since_us),
            "pairs": test.pairs,
            "needed": self._system.rollout.pairs,
            "difference": test.difference if test.pairs else None,
            "lower": None,
            "margin": test.margin,
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

    def _drift(self) -> dict[str, Any]:
        if self._reader.drift is None:
            return {"columns": [], "psi": [], "missing": [], "unseen": [], "threshold": 0.2, "score_psi": None}
        report: dict[str, Any] = msgspec.to_builtins(self._reader.drift.report())
        return report
