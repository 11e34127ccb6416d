"""The words of `modelwright train`."""

import argparse
from typing import TYPE_CHECKING

from modelwright.app.words.parser import Parser, add_common, print_json

if TYPE_CHECKING:
    from modelwright.app.commands.train import TrainResult


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _train)


def _train(options: argparse.Namespace) -> int:
    from modelwright.app.commands.train import train
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, forms_table, number, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "reading the declaration") as watch:
        result = train(load(options.system), watch.step)
    if options.json:
        print_json(result)
        return 0
    same = result.equivalence or {}
    equal = f", equal on {same.get('rows', 0):,} rows" if same.get("accepted") else ": no compiled form is equal"
    if same.get("accepted") and same.get("reason"):
        equal = f", within the declared bounds: {same['reason']}"
    rows = [
        ("release", f"{result.release} ({_became(result)})"),
        ("form", result.form + equal),
        *((name, number(value)) for name, value in result.metrics.items()),
        *(
            (
                f"gate {gate['name']}",
                f"{'passed' if gate['passed'] else 'NOT passed'}: {gate['value']:.4f} against {gate['threshold']:.4f}",
            )
            for gate in result.gates
        ),
        ("seconds", f"{result.seconds['total']:.1f} (fit {result.seconds['fit']:.1f})"),
    ]
    figures(console, rows)
    console.print(forms_table(result.forms, result.form))
    return 0


def _became(result: "TrainResult") -> str:
    if result.promoted:
        return "champion"
    if all(gate["passed"] for gate in result.gates):
        return "registered"
    return "rejected by its gates; what is live goes on, see `modelwright status`"
