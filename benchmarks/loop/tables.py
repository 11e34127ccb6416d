"""The loop's figures as tables."""

from typing import Any

import numpy as np
from rich.table import Table


def of_drift(found: dict[str, Any]) -> list[Table]:
    """False alarms and delays; cost."""
    still = found["stationary"]
    delays = Table(
        title=f"a shift of {found['shift']} sd in one of {found['columns']} columns; one false alarm in {found['rate']:,} events",
        caption=f"modelwright on {still['events']:,} stationary events: {still['alarms']} false alarms, "
        f"{still['expected_at_most']} would keep the rate. Thresholds of the others are those measured to have it",
    )
    for name in ("", "median delay, events", "quartiles", "not noticed", "streams"):
        delays.add_column(name, justify="right" if name else "left")
    for name, each in sorted(found["delays"].items(), key=lambda one: float(np.median(one[1] or [np.inf]))):
        if not each:
            delays.add_row(name, "no threshold found")
            continue
        low, middle, high = np.quantile(each, [0.25, 0.5, 0.75])
        missed = sum(delay >= found["after"] for delay in each)
        delays.add_row(name, f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}", str(missed), str(len(each)))
    for name, reason in found["skipped"].items():
        delays.add_row(f"{name}: {reason}")
    cost = Table(title="what monitoring costs")
    cost.add_column("")
    cost.add_column("", justify="right")
    for name, one in found["cost"].items():
        said = f"{one['us']:.2f} us a prediction (best {one['best_us']:.2f}), {one['mib']:.2f} MiB"
        cost.add_row(f"modelwright, {name}", said)
    for name, seconds in found["whole_s"].items():
        cost.add_row(f"100,000 x 25 against a reference, {name}", f"{seconds:.2f} s")
    return [delays, cost]


def of_rehearsal(found: dict[str, Any]) -> Table:
    """A rehearsal's time, and the user's part in it."""
    table = Table(title=f"a rehearsal of {found['events']:,} events with ten windowed features")
    for name in ("trainings", "promotions", "seconds", "of which fitting the model", "outside it"):
        table.add_column(name, justify="right")
    seconds, fit_s = found["seconds"], found["fit_s"]
    figures = (found["trainings"], found["promotions"], f"{seconds:.1f}", f"{fit_s:.1f}", f"{seconds - fit_s:.1f}")
    table.add_row(*map(str, figures))
    return table
