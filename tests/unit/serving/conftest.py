"""Data planes over a log in a temporary folder, and releases made by hand: each answers with a score of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright.core.clock import SimulatedClock
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import Release
from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import Manifest, References
from modelwright.serving.dataplane import Dataplane
from modelwright.spec import agg
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec
from modelwright.spec.view import ViewSpec

T0 = 1_700_000_000_000_000


class Fixed:
    """A model that always says the same; it can be told to fail, for all rows or for those of an amount."""

    def __init__(self, score: float) -> None:
        self.score = score
        self.fails = False
        self.fails_at: float | None = None
        self.calls: list[int] = []

    def run(self, rows: Rows) -> Any:
        self.calls.append(len(rows))
        if self.fails or (self.fails_at is not None and (rows.numbers[:, 0] == self.fails_at).any()):
            raise RuntimeError("the model is broken")
        return np.tile([1 - self.score, self.score], (len(rows), 1))


@pytest.fixture
def contract() -> Contract:
    fields = [("pid", "str"), ("card", "str"), ("at", "time"), ("amount", "float"), ("shop", "str")]
    made = tuple(Field(name=name, kind=kind, column=name, nullable=name == "shop") for name, kind in fields)
    return Contract(name="Pay", fields=made, id="pid", entity="card", time="at")


@pytest.fixture
def label() -> LabelSpec:
    return LabelSpec(name="fraud", kind="bool", delay_us=60_000_000)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(T0 + 3_600_000_000)


@pytest.fixture
def log(contract: Contract, label: LabelSpec, clock: SimulatedClock, tmp_path: Path) -> Iterator[Log]:
    with Log.open(Workspace(tmp_path / "state"), LogSchema(contract, label.name, label.kind), clock) as opened:
        yield opened


@pytest.fixture
def failures() -> list[tuple[str, str]]:
    """What the data plane told of releases that failed."""
    return []


@pytest.fixture
def plane(
    log: Log, contract: Contract, label: LabelSpec, clock: SimulatedClock, failures: list[tuple[str, str]]
) -> Dataplane:
    return Dataplane(log, contract, label, clock, lambda release, error: failures.append((release, error)))


@pytest.fixture
def release(contract: Contract, label: LabelSpec) -> Callable[..., tuple[Release, Fixed]]:
    """A release that scores the same always, and its model: `release("r1", 0.25)`."""

    def made(name: str, score: float, over: str = "count", lateness_us: int | None = None) -> tuple[Release, Fixed]:
        history = {"n": agg.count(), "frauds": agg.sum("fraud")}
        if over != "count":
            history["spent"] = agg.sum("amount")
        manifest = Manifest(
            system="pay",
            kind="model",
            runtime="native",
            label=label,
            metric="roc_auc",
            classes=(False, True),
            inputs=(
                InputColumn(name="amount", kind="number"),
                InputColumn(name="n", kind="number"),
                InputColumn(name="shop", kind="text", vocabulary=("a", "b")),
            ),
            views=(ViewSpec(event="Pay", by=("card",), features=history, lateness_us=lateness_us),),
        )
        model = Fixed(score)
        return Release(name, manifest, contract, References(()), model), model

    return made


@pytest.fixture
def pay(plane: Dataplane) -> Callable[..., Any]:
    """A decoded event: `pay(3)`, `pay(3, amount=2.0)`."""

    def made(number: int, card: str = "c", amount: float = 1.0, seconds: float | None = None, shop: str = "a") -> Any:
        from modelwright.core.clock import from_us

        at = from_us(T0 + int((number if seconds is None else seconds) * 1_000_000))
        return plane.event_of(plane.contract.struct()(pid=f"p{number}", card=card, at=at, amount=amount, shop=shop))

    return made


@pytest.fixture
def fraud(plane: Dataplane) -> Callable[..., Any]:
    """A decoded outcome: `fraud(3)`, `fraud(3, False)`."""
    from modelwright.serving.messages import OutcomeBody

    return lambda number, value=True: plane.outcome_of(OutcomeBody(f"p{number}", value))
