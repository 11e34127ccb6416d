"""The words of `modelwright rehearse`."""

import argparse
from pathlib import Path

from modelwright.app.words.parser import Parser, add_common, print_json
from modelwright.app.words.values import share
from modelwright.core.errors import UsageError


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _rehearse, system="required")
    sub.add_argument(
        "--from",
        dest="start",
        type=share,
        default=None,
        metavar="SHARE",
        help="the share of the history that is given (default 0.2, or more where outcomes come late)",
    )
    sub.add_argument(
        "--compare",
        type=Path,
        metavar="POLICIES",
        help="a Python file with `policies = {name: [triggers] or {setting: value}}`: rehearse each, and say which to take",
    )
    sub.add_argument(
        "--inject",
        action="append",
        default=[],
        metavar="FAULT",
        help="rehearse once more with a fault put in, and say what was noticed, after how many events, and what was done; may be "
        "given several times. missing:COLUMN, units:COLUMN*100, renamed:COLUMN:OLD=NEW, shift:COLUMN+SIGMAS, "
        "gradual:COLUMN+SIGMAS, late:7d and lost:7d (outcomes), trainer-dies, bad-challenger; @0.6 after it: from that share "
        "of the history on, @0.6-0.8: to there too (default: the second half of the replay). See docs/rehearsals.md",
    )


def _rehearse(options: argparse.Namespace) -> int:
    from modelwright.app.commands.rehearse import rehearse
    from modelwright.app.system import load
    from modelwright.app.terminal import fault_lines, figures, number, terminal, watching

    if options.compare is not None:
        if options.inject:
            raise UsageError("--compare and --inject are two rehearsals: give one of them at a time")
        return _compare(options)
    console = terminal(quiet=options.json)
    with watching(console, "reading the declaration") as watch:
        result = rehearse(load(options.system), start=options.start, watcher=watch, inject=options.inject)
    if options.json:
        print_json(result)
        return 0
    unknown = result.predictions - result.known
    over = f"the figures are over the other {result.known:,}" if result.known else "so there are no figures"
    untold = f"; of {unknown:,} the outcome is not known, {over}" if unknown else ""
    console.print()
    figures(
        console,
        [
            (result.metric, ""),
            ("  self-running", f"{number(result.self_running)}"),
            ("  frozen first model", number(result.frozen)),
            ("  baseline", number(result.baseline)),
            ("from", result.begins[:16].replace("T", " ")),
            ("predictions", f"{result.predictions:,}{untold}"),
            (
                "trainings",
                f"{result.trainings}: {result.promotions} promoted after the first, {result.rejections} rejected",
            ),
            ("rollbacks", str(result.rollbacks)),
            *([("alerts", f"{result.alerts:,} would have been sent; none was")] if result.alerts else []),
            ("seconds", f"{result.seconds:.1f}"),
            ("journal", result.journal_sha256),
            ("report", result.report),
        ],
    )
    for effect in result.faults:
        console.print()
        for line in fault_lines(effect, result.metric):
            console.print(line, soft_wrap=True)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from modelwright.app.commands.compare import compare
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, policies_table, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "reading the declaration") as watch:
        result = compare(load(options.system), options.compare, start=options.start, watcher=watch)
    if options.json:
        print_json(result)
        return 0
    console.print()
    console.print(policies_table(result))
    figures(console, [("recommended", result.recommended or "none: no outcome is known"), ("report", result.report)])
    return 0
