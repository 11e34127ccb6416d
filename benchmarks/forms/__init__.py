"""A network's forms by its width: what one row and 64 take in float64, float32, INT8 and with half of the units.

It is where `optimize.form.TRADED` has its order from, and `optimize.graph.smaller` the size from which less is faster.
"""

import statistics
import time
from typing import Any

import numpy as np
from rich.table import Table

from modelwright.optimize.graph import smaller
from modelwright.optimize.graph.builder import Graph
from modelwright.release.graph import GraphSession

WIDTHS = (64, 128, 256, 512, 1024)
INPUTS, CALLS = 30, 60


def measure() -> dict[str, dict[str, tuple[float, float]]]:
    """Microseconds for one row and for 64, by width and form. The medians of calls in turn."""
    smaller.WORTH_WHILE = 0  # type: ignore[misc]  # to see below it, too
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, INPUTS))
    found = {}
    for width in WIDTHS:
        weights = [
            random.normal(size=shape) / shape[0] ** 0.5 for shape in ((INPUTS, width), (width, width), (width, 2))
        ]
        single = _network(weights, "float32")
        graphs = {"float64": _network(weights, "float64"), "float32": single}
        graphs |= {name: make(single, rows) for name, make in smaller.SMALLER.items()}
        sessions = {name: GraphSession(data) for name, data in graphs.items()}
        found[str(width)] = {
            name: (_median_us(session, rows[:1]), _median_us(session, rows[:64])) for name, session in sessions.items()
        }
    return found


def _network(weights: list[Any], precision: Any) -> bytes:
    graph = Graph(precision, INPUTS)
    value = "numbers"
    for place, matrix in enumerate(weights):
        value = graph.node("Add", graph.node("MatMul", value, graph.numbers(matrix)), graph.numbers(matrix[0]))
        value = graph.node("Relu", value) if place < len(weights) - 1 else graph.node("Softmax", value, axis=1)
    return graph.bytes(value)


def _median_us(session: GraphSession, rows: Any) -> float:
    session.run(rows)
    seconds = []
    for _ in range(CALLS):
        began = time.perf_counter()
        session.run(rows)
        seconds.append(time.perf_counter() - began)
    return round(statistics.median(seconds) * 1e6, 1)


def table(found: dict[str, dict[str, tuple[float, float]]]) -> Table:
    """For people: one row / 64 rows in microseconds."""
    names = list(next(iter(found.values())))
    made = Table(title="A network of two hidden layers: µs for 1 row / 64 rows", box=None, padding=(0, 2))
    for heading in ("units", *names):
        made.add_column(heading, justify="right")
    for width, took in found.items():
        made.add_row(width, *(f"{took[name][0]:,.0f} / {took[name][1]:,.0f}" for name in names))
    return made
