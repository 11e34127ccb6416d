"""What the words of all commands share: a parser with one-line errors, the options they have in common, answers as JSON."""

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from modelwright.core.errors import DeclarationError, ModelwrightError, UsageError

Handler = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """argparse, with errors in our one-line form."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing usage."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def add_common(sub: Parser, handler: Handler, *, system: str = "optional") -> None:
    """What every command takes; `handler` is called with its options. `system`: "optional", "required" or "none"."""
    nargs = "?" if system == "optional" else None
    if system != "none":
        sub.add_argument("system", nargs=nargs, default="system.py", help="the Python file that declares the System")
    sub.add_argument("--json", action="store_true", help="print one JSON object, and nothing else, on standard output")
    sub.set_defaults(handler=handler)


def add_trials(sub: Parser) -> None:
    """Let a command be asked of the last rehearsal or replay."""
    of = sub.add_mutually_exclusive_group()
    for trial in ("rehearsal", "replay"):
        text = f"of the last {trial} instead of the running system"
        of.add_argument(f"--{trial}", dest="of", action="store_const", const=trial, help=text)


def print_json(answer: Any) -> None:
    """Print a Struct, or what is made of them, on one line."""
    import msgspec

    print(msgspec.json.encode(answer).decode(), flush=True)


def tell(error: ModelwrightError) -> int:
    """Say what went wrong, in one line; the exit code that it stands for."""
    print(f"modelwright: {' '.join(str(error).splitlines())}", file=sys.stderr, flush=True)
    return 2 if isinstance(error, (UsageError, DeclarationError)) else 1
