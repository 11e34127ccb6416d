"""The public `System`: the declaration with its verbs. Each is the command of the same name, without the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelwright.spec.load import load as load_declaration
from modelwright.spec.system import System as Declaration


class System(Declaration):
    __doc__ = Declaration.__doc__

    def ingest(self, *paths: str | Path, event: Any = None) -> Any:
        """Bring history files (by default the declared sources) into the log; returns the counts of rows.

        `event` is the class they are of, where it is not the system's own.
        """
        from modelwright.app.commands.ingest import ingest
        from modelwright.spec.event import contract_of

        return ingest(self, [Path(path) for path in paths], event=None if event is None else contract_of(event).name)

    def train(self) -> Any:
        """Ingest the source, train and gate one candidate; it is promoted only where there is no champion."""
        from modelwright.app.commands.train import train

        return train(self)

    def rehearse(self, *, start: float | None = None, inject: Sequence[str] = ()) -> Any:
        """Backtest the whole system on its history, from that share of the events on (by default a fifth, or more where
        outcomes come late), and again with each of some faults, such as "missing:amount"; returns the figures."""
        from modelwright.app.commands.rehearse import rehearse

        return rehearse(self, start=start, inject=inject)

    def predict(self, given: str | Path, out: str | Path) -> Any:
        """Score a file of events with the champion."""
        from modelwright.app.commands.predict import predict

        return predict(self, Path(given), Path(out))

    def run(self, *, host: str = "127.0.0.1", port: int = 8000, stream: str = "") -> Any:
        """Serve, monitor, retrain and roll out until stopped; `stream` is where events come from besides HTTP."""
        from modelwright.app.commands.run import RunOptions, run

        return run(self, RunOptions(host=host, port=port, stream=stream))

    def status(self, of: Any = None, since: Any = None) -> Any:
        """What is live and how well; `of` the last "rehearsal" or "replay" instead of the running system.

        `since` a duration, such as "7d": what happened in that time, whether it is good now, and what wants a person.
        """
        from modelwright.app.commands.status import status

        return status(self, of, since)

    def parity(self, of: Any = None, since: Any = None) -> Any:
        """What live predictions were served with, against what is recomputed from the log; `of` the last "replay" instead.

        `since` a duration, such as "7d" up to the newest prediction, or a sequence number of the log.
        """
        from modelwright.app.commands.parity import parity

        return parity(self, of, since)

    def try_alerts(self) -> Any:
        """Send a test message to every declared receiver; returns what became of each."""
        from modelwright.app.commands.alerts import try_alerts

        return try_alerts(self)

    def approve(self, why: str, *, who: str | None = None, release: str | None = None) -> Any:
        """Make the challenger, or another registered release, the champion; returns the journal's row."""
        return self._decide("approve", why, who, release)

    def reject(self, why: str, *, who: str | None = None) -> Any:
        """Send the challenger home; returns the journal's row."""
        return self._decide("reject", why, who)

    def rollback(self, why: str, *, who: str | None = None) -> Any:
        """Let the release before the champion answer again; returns the journal's row."""
        return self._decide("rollback", why, who)

    def pause(self, why: str, *, who: str | None = None) -> Any:
        """Train and promote nothing until `resume`; returns the journal's row."""
        return self._decide("pause", why, who)

    def resume(self, why: str, *, who: str | None = None) -> Any:
        """Let the loop decide again; returns the journal's row."""
        return self._decide("resume", why, who)

    def _decide(self, decision: Any, why: str, who: str | None, release: str | None = None) -> Any:
        from modelwright.app.commands.decide import decide

        return decide(self, decision, why, who, release)

    def journal(self, of: Any = None) -> Any:
        """Every decision so far; `of` the last "rehearsal" or "replay" instead of the running system."""
        from modelwright.app.commands.journal import journal

        return journal(self, of)


def load(path: str | Path) -> System:
    """The System that a Python file declares; see `modelwright.spec.load`."""
    system = load_declaration(path)
    assert isinstance(system, System)
    return system
