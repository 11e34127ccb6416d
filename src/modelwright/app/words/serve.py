"""The words of `modelwright serve`."""

import argparse
from pathlib import Path

from modelwright.app.words.listening import add_address, add_streaming, front_of, listening
from modelwright.app.words.parser import Parser, add_common


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _serve, system="none")
    sub.add_argument("release", type=Path, metavar="DIR", help="a release folder")
    sub.add_argument(
        "--workspace",
        type=Path,
        default=None,
        help="where its log lies (default: MODELWRIGHT_HOME, or .modelwright/ here)",
    )
    sub.add_argument("--no-log", action="store_true", help="answer and forget: nothing is written")
    add_address(sub)
    add_streaming(sub)


def _serve(options: argparse.Namespace) -> int:
    from modelwright.app.commands.serve import serve

    return serve(
        options.release,
        options.workspace,
        *listening(options),
        front_of(options),
        workers=options.workers,
        stream=options.stream,
        no_log=options.no_log,
        json=options.json,
    )
