"""The words of `modelwright run`."""

import argparse
import os
from pathlib import Path

from modelwright.app.words.listening import add_address, add_streaming, front_of, listening
from modelwright.app.words.parser import Parser, add_common
from modelwright.app.words.values import seconds, share
from modelwright.core.errors import UsageError


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _run, system="required")
    add_address(sub)
    add_streaming(sub)
    sub.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="play this history file through the running system, on its own clock",
    )
    sub.add_argument(
        "--from",
        dest="start",
        type=share,
        default=None,
        metavar="SHARE",
        help="with --replay: the share of the file that is given as history (default 0.2, or more where outcomes come late)",
    )
    sub.add_argument(
        "--once",
        action="store_true",
        help="with --replay: stop when the replay is over (also ONCE=1)",
    )
    sub.add_argument("--seconds", type=seconds, default=None, help="with --replay: replay for at most so long")


def _run(options: argparse.Namespace) -> int:
    from modelwright.app.commands.run import RunOptions, run
    from modelwright.app.system import load

    if options.replay is None:
        for option, given in (("--from", options.start), ("--once", options.once), ("--seconds", options.seconds)):
            if given:
                raise UsageError(f"{option} goes with --replay FILE; see `modelwright run --help`")
    if options.replay is not None and options.workers > 1:
        raise UsageError("--replay sends one event after the other, so one process answers: leave out --workers")
    host, port = listening(options)
    return run(
        load(options.system),
        RunOptions(
            host=host, port=port, workers=options.workers, front=front_of(options), stream=options.stream,
            replay=options.replay, start=options.start,
            once=options.replay is not None and (options.once or bool(os.environ.get("ONCE"))),
            seconds=options.seconds, json=options.json,
        ),
    )  # fmt: skip
