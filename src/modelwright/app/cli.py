"""The command line: the list of commands, errors to one line and an exit code. The words of each command are in `app/words`.

Exit codes: 0 done, 1 the work failed, 2 the call or the declaration is wrong, 130 interrupted.
"""

import os
import sys
from collections.abc import Container, Sequence
from importlib import import_module

from modelwright import __version__
from modelwright.app.words.parser import Handler, Parser, tell
from modelwright.core.errors import ModelwrightError

COMMANDS = (
    ("run", "run", "the main job: ingest, train, serve, monitor, retrain, roll out, until stopped"),
    ("try-alerts", "alerts", "send a test message to everybody whom the system would tell of trouble"),
    ("rehearse", "rehearse", "a backtest of the whole system on its history, with a report"),
    ("train", "train", "one tracked candidate: data, fit, compile, gates, register"),
    ("serve", "serve", "serving alone, from a release folder"),
    ("key", "key", "API keys: from the first one on, a server answers only who shows one"),
    ("predict", "predict", "score a file of events with the champion"),
    ("ingest", "ingest", "events into the log; bad rows into quarantine with the reason"),
    ("status", "status", "what is live and how well"),
    ("journal", "journal", "what was decided and why"),
    ("approve", "approve", "make the challenger the champion, or another release that was registered"),
    ("reject", "decide", "send the challenger home"),
    ("rollback", "decide", "let the release before the champion answer again"),
    ("pause", "decide", "train and promote nothing until `resume`; what fails is rolled back all the same"),
    ("resume", "decide", "let the loop decide again"),
    ("parity", "parity", "what was served against what is recomputed from the log"),
)
"""Each with the file of its words in `app/words`, and what it does; in the order in which `--help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser(given).parse_args(given)
        handler: Handler = options.handler
        return handler(options)
    except ModelwrightError as error:
        return tell(error)
    except KeyboardInterrupt:
        print("modelwright: interrupted; what was acknowledged is in the log", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser(named: Container[str] | None = None) -> Parser:
    """Every command; with its options, but where `named` is given and it is not there: a call needs those of the one it names."""
    top = Parser(prog="modelwright", description="A data scientist's prototype in, a self-running ML system out.")
    top.add_argument("--version", action="version", version=f"modelwright {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name, words, help in COMMANDS:
        sub = commands.add_parser(name, help=help, description=help)
        if named is None or name in named:
            import_module(f"modelwright.app.words.{words}").add(sub)
    return top


if __name__ == "__main__":
    sys.exit(main())
