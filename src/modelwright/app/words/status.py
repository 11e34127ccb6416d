"""The words of `modelwright status`."""

import argparse
from typing import TYPE_CHECKING

from modelwright.app.words.parser import Parser, add_common, add_trials, print_json

if TYPE_CHECKING:
    from modelwright.app.commands.status import Status


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _status)
    sub.add_argument(
        "--since",
        metavar="DURATION",
        help="what happened in that time (7d, 24h), whether it is good now, and what wants a person",
    )
    add_trials(sub)


def _status(options: argparse.Namespace) -> int:
    from modelwright.app.commands.status import status
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, tell_digest, terminal

    answer = status(load(options.system), options.of, options.since)
    if options.json:
        print_json(answer)
        return 0
    champion, challenger, console = answer.champion, answer.challenger, terminal(answer=True)
    if answer.digest is not None:
        tell_digest(console, answer.digest)
    figures(
        console,
        [
            ("system", answer.system),
            (
                "champion",
                f"{champion['release']} ({champion['runtime']}) since {champion['since']}" if champion else "none",
            ),
            ("challenger", f"{challenger['release']} since {challenger['since']}" if challenger else "none"),
            *([("canary", f"the challenger answers {answer.share:.4g} of the requests")] if answer.share else []),
            *([("waits for", "modelwright approve, or reject")] if answer.phase == "approval" else []),
            *([("paused", "nothing is trained or promoted until `modelwright resume`")] if answer.paused else []),
            *(_answered(answer) if options.of != "rehearsal" else [("answers", "in its report, not in a log")]),
            ("decisions", f"{answer.journal_rows:,} (modelwright journal)"),
            ("workspace", answer.workspace),
        ],
    )
    return 0


def _answered(answer: "Status") -> list[tuple[str, str]]:
    """What was asked and answered, and how well: a rehearsal keeps that in its report."""
    from modelwright.app.terminal import (
        alert_lines,
        drift_lines,
        estimate_lines,
        number,
        parity_line,
        quality_lines,
        slice_lines,
    )

    return [
        (f"live {answer.metric}", number(answer.live)),
        *slice_lines(answer.slices),
        *estimate_lines(answer.estimate),
        ("events", f"{answer.events:,}"),
        ("predictions", f"{answer.predictions:,}"),
        ("outcomes", f"{answer.outcomes:,}"),
        *([("rows of other events", f"{answer.others:,}")] if answer.others else []),
        ("quarantined", f"{answer.quarantined:,}"),
        *drift_lines(answer.drift),
        *quality_lines(answer.quality),
        ("parity", parity_line(answer.parity)),
        *alert_lines(answer.alerts),
    ]
