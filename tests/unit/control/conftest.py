"""A controller on a real journal with a trainer that follows a script, told time and outcomes by the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import modelwright as mw
from modelwright.control.controller import Controller
from modelwright.control.declaration import declaration_hash
from modelwright.control.parity import ParityCheck
from modelwright.control.trainer import Trained
from modelwright.core.clock import SimulatedClock
from modelwright.core.errors import TrainingError
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.ledger import Ledger, Scored
from modelwright.registry.publish import publish
from modelwright.release.manifest import Manifest, RowLoss
from modelwright.spec.gate import Verdict

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000  # 2026-01-01


class ScriptedTrainer:
    """Publishes a release for each order; `script` says what becomes of the next candidates: "good", "bad" or an error."""

    def __init__(self, system, releases: Path) -> None:
        self._system = system
        self._releases = releases
        self.script: list[str] = []
        self.orders: list[tuple[str, int, int, str | None]] = []
        self.loss = RowLoss(0.2, 0.16, 100)
        self.declaration = declaration_hash(system)

    def train(self, kind, now_us, number, champion, change_us):
        self.change_us = change_us
        self.orders.append((kind, now_us, number, champion))
        word = "good" if kind == "baseline" or not self.script else self.script.pop(0)
        if word not in ("good", "bad"):
            raise TrainingError(word)
        manifest = Manifest(
            system=self._system.name, kind=kind, runtime="constant", label=self._system.label, metric="accuracy",
            classes=(False, True), inputs=(), loss=self.loss, rows=100, model=f"{kind} {number} {now_us}",
        )  # fmt: skip
        name, _ = publish(self._releases, number, manifest, {}, {})
        passed = word == "good"
        return Trained(
            release=name,
            number=number,
            passed=passed,
            verdicts=(Verdict(name="accuracy >= 0.7", passed=passed, value=0.8 if passed else 0.5, threshold=0.7),),
            evidence={
                "rows": 100,
                "declaration": self.declaration,
                "metrics": {"accuracy": 0.8},
                "runtime": "constant",
                "equivalence": None,
            },
            observed={"seconds": {"total": 1.0}},
        )


class Stage:
    """What the tests play on: `new()` brings up a controller on the same journal, as a restart does."""

    def __init__(self, system, log: Log, releases: Path) -> None:
        self.system = system
        self.log = log
        self.journal = log.journal
        self.trainer = ScriptedTrainer(system, releases)
        self.ledger = Ledger("accuracy", (False, True))
        self.releases = releases
        self.events = 0
        self.parity: ParityCheck | None = None
        self.approved = False
        self.controller = self.new()

    def new(self) -> Controller:
        self.controller = Controller(
            self.system, self.journal, self.ledger, self.trainer, self.releases, self.parity, approved=self.approved
        )
        return self.controller

    def new_from_log(self) -> Controller:
        """The same with a ledger that is told everything at once, as a restart tells it."""
        told, self.ledger = self.ledger.account, Ledger("accuracy", (False, True))
        order = sorted(range(len(told)), key=lambda place: told.event_seq[place])
        for place in order:
            self.ledger.predicted(told.event_seq[place], told.at_us[place], told.scored[place])
            self.ledger.known(told.event_seq[place], told.outcome[place])
        self.ledger.settle()
        now_us = self.controller.now_us
        self.new()._now_us = now_us
        return self.controller

    def outcomes(self, count: int, champion: bool = True, challenger: bool = True, at_us: int | None = None) -> None:
        """So many events answered and settled; champion and challenger are right or wrong throughout. They were asked for at one
        moment, else long ago."""
        pointer = self.journal.pointer()
        for _ in range(count):
            self.events += 1
            asked_us = self.events if at_us is None else at_us
            self.ledger.predicted(self.events, asked_us, Scored(pointer.champion, champion, None))
            if pointer.challenger is not None:
                scored = Scored(pointer.challenger, challenger, None)
                self.ledger.predicted(self.events, asked_us, scored, challenger=True)
            self.ledger.known(self.events, True)
        self.ledger.settle()

    def kinds(self) -> list[str]:
        return [row.kind for row in self.journal.rows()]

    def pointed(self) -> tuple[int | None, int | None, int | None, str]:
        """Numbers of champion, challenger and the one before, and the phase."""
        pointer = self.journal.pointer()
        names = (pointer.champion, pointer.challenger, pointer.previous)
        champion, challenger, previous = (None if name is None else int(name[1:].split("-")[0]) for name in names)
        return champion, challenger, previous, pointer.phase


@pytest.fixture
def system(declare: Callable[..., Path]):
    """Retrains every ten days; promotes on 20 pairs and a margin of 5 points, within 5 days."""
    return mw.load(
        declare(
            "disputes",
            {
                'retrain.every("14d"), retrain.on_decay(drop=0.1, rows=60)': 'retrain.every("10d")',
                'pairs=30, margin=0.05, within="10d"': 'pairs=20, margin=0.05, within="5d"',
            },
        )
    )


@pytest.fixture
def stage(system, tmp_path: Path) -> Iterator[Stage]:
    workspace = Workspace(tmp_path / "state")
    schema = LogSchema(system.contract, system.label.name, system.label.kind)
    with Log.open(workspace, schema, SimulatedClock(T0)) as log:
        yield Stage(system, log, workspace.releases)
