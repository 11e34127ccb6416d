"""The command line: words to calls, answers to text or JSON, errors to one line and an exit code.

Exit codes: 0 done, 1 the work failed, 2 the call or the declaration is wrong, 130 interrupted.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from modelwright import __version__
from modelwright.core.errors import DeclarationError, ModelwrightError, UsageError

if TYPE_CHECKING:
    from modelwright.app.server import Front

Handler = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """argparse, with errors in our one-line form."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing usage."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        options = parser().parse_args(arguments)
        handler: Handler = options.handler
        return handler(options)
    except ModelwrightError as error:
        print(f"modelwright: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2 if isinstance(error, (UsageError, DeclarationError)) else 1
    except KeyboardInterrupt:
        print("modelwright: interrupted; what was acknowledged is in the log", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> Parser:
    """Every command with its options."""
    top = Parser(prog="modelwright", description="A data scientist's prototype in, a self-running ML system out.")
    top.add_argument("--version", action="version", version=f"modelwright {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, help: str, handler: Handler, *, system: str = "optional") -> Parser:
        sub: Parser = commands.add_parser(name, help=help, description=help)
        nargs = "?" if system == "optional" else None
        if system != "none":
            sub.add_argument(
                "system", nargs=nargs, default="system.py", help="the Python file that declares the System"
            )
        sub.add_argument(
            "--json", action="store_true", help="print one JSON object, and nothing else, on standard output"
        )
        sub.set_defaults(handler=handler)
        return sub

    run = command(
        "run", "the main job: ingest, train, serve, monitor, retrain, roll out, until stopped", _run, system="required"
    )
    _address(run)
    run.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="play this history file through the running system, on its own clock",
    )
    run.add_argument(
        "--from",
        dest="start",
        type=_share,
        default=None,
        metavar="SHARE",
        help="with --replay: the share of the file that is given as history (default 0.2, or more where outcomes come late)",
    )
    run.add_argument(
        "--once",
        action="store_true",
        default=bool(os.environ.get("ONCE")),
        help="with --replay: stop when the replay is over (also ONCE=1)",
    )
    run.add_argument("--seconds", type=float, default=None, help="with --replay: replay for at most so long")

    rehearse = command(
        "rehearse", "a backtest of the whole system on its history, with a report", _rehearse, system="required"
    )
    rehearse.add_argument(
        "--from",
        dest="start",
        type=_share,
        default=None,
        metavar="SHARE",
        help="the share of the history that is given (default 0.2, or more where outcomes come late)",
    )

    command("train", "one tracked candidate: data, fit, compile, gates, register", _train)

    serve = command("serve", "serving alone, from a release folder", _serve, system="none")
    serve.add_argument("release", type=Path, metavar="DIR", help="a release folder")
    serve.add_argument(
        "--workspace",
        type=Path,
        default=None,
        help="where its log lies (default: MODELWRIGHT_HOME, or .modelwright/ here)",
    )
    serve.add_argument("--no-log", action="store_true", help="answer and forget: nothing is written")
    _address(serve)

    _key_commands(commands)

    predict = command("predict", "score a file of events with the champion", _predict, system="required")
    predict.add_argument("given", type=Path, metavar="IN", help="CSV, Parquet or JSON lines")
    predict.add_argument("out", type=Path, metavar="OUT", help="CSV or Parquet, by its suffix")

    ingest = command(
        "ingest", "events into the log; bad rows into quarantine with the reason", _ingest, system="required"
    )
    ingest.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files (default: the declared sources)")
    ingest.add_argument("--event", metavar="NAME", help="the event they are of, where it is not the system's own")

    for sub in (
        command("status", "what is live and how well", _status),
        command("journal", "what was decided and why", _journal),
    ):
        of = sub.add_mutually_exclusive_group()
        for trial in ("rehearsal", "replay"):
            text = f"of the last {trial} instead of the running system"
            of.add_argument(f"--{trial}", dest="of", action="store_const", const=trial, help=text)

    parity = command("parity", "what was served against what is recomputed from the log", _parity)
    parity.add_argument(
        "--replay",
        dest="of",
        action="store_const",
        const="replay",
        help="of the last replay instead of the running system",
    )
    parity.add_argument(
        "--since",
        metavar="WHEN",
        help="only the latest predictions: a duration (7d, up to the newest one) or a sequence number of the log",
    )
    return top


def _key_commands(commands: Any) -> None:
    about = "API keys: from the first one on, a server answers only who shows one"
    actions = commands.add_parser("key", help=about, description=about).add_subparsers(
        dest="action", required=True, metavar="ACTION", parser_class=Parser
    )
    made = {}
    for action, help, handler in (
        ("create", "make a key; it is shown once", _key_create),
        ("list", "the keys there are, without the keys", _key_list),
        ("revoke", "make a key good for nothing, within a second", _key_revoke),
    ):
        sub = made[action] = actions.add_parser(action, help=help, description=help)
        sub.add_argument(
            "of",
            nargs="?",
            type=Path,
            default=Path("system.py"),
            metavar="SYSTEM|DIR",
            help="a system file, a release folder, or a state folder (the --workspace of serve)",
        )
        sub.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")
        sub.set_defaults(handler=handler)
        if action != "list":
            sub.add_argument("--name", required=True, help="whose it is")
    made["create"].add_argument(
        "--scope",
        action="append",
        required=True,
        choices=["predict", "ingest", "admin"],
        help="what it is for: predict (/predict, /v2), ingest (/events, /outcomes), admin (/metrics, the console); "
        "may be given several times",
    )
    made["create"].add_argument(
        "--rate", metavar="N/UNIT", help="so many requests a unit of time in each serving process, such as 100/s"
    )


def _address(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    sub.add_argument("--port", type=_port, default=8000, help="port to listen on (default 8000; 0 picks a free one)")
    sub.add_argument(
        "--max-waiting",
        type=_count,
        default=1024,
        metavar="N",
        help="requests taken and not yet answered; beyond, 503 (default 1024)",
    )
    sub.add_argument(
        "--request-timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long a request may take to come in, or an answer to be read (default 30)",
    )
    sub.add_argument(
        "--idle-timeout",
        type=_seconds,
        default=75.0,
        metavar="SECONDS",
        help="how long a connection stays open without a request (default 75)",
    )
    sub.add_argument("--tls-cert", metavar="FILE", help="serve HTTPS with this certificate and its chain (PEM)")
    sub.add_argument("--tls-key", metavar="FILE", help="the certificate's key (PEM)")
    sub.add_argument(
        "--log-format",
        choices=["none", "json"],
        default="none",
        help="json: one line a request on standard error, with its id (default none)",
    )


def _front(options: argparse.Namespace) -> "Front":
    from modelwright.app.server import Front
    from modelwright.app.tls import Certificate, CertificateFiles
    from modelwright.serving.limits import Limits

    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together: give both")
    certificate = None
    if options.tls_cert is not None:
        certificate = CertificateFiles(os.path.abspath(options.tls_cert), os.path.abspath(options.tls_key))
        Certificate(certificate)  # what does not serve is said before anything starts
    return Front(
        limits=Limits(waiting=options.max_waiting, request_s=options.request_timeout, idle_s=options.idle_timeout),
        certificate=certificate,
        log_format=options.log_format,
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:12]) > 0):
        raise argparse.ArgumentTypeError(f"{text} is no count: give a whole number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no time: give seconds, such as 30")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: give a number between 0 and 1, such as 0.2")
    return value


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is no port: give a number up to 65535, or 0 for a free one")
    return int(text)


def _print_json(answer: Any) -> None:
    import msgspec

    print(msgspec.json.encode(answer).decode(), flush=True)


def _rehearse(options: argparse.Namespace) -> int:
    from modelwright.app.commands.rehearse import rehearse
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, number, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "reading the declaration") as watch:
        result = rehearse(load(options.system), start=options.start, watcher=watch)
    if options.json:
        _print_json(result)
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
            ("seconds", f"{result.seconds:.1f}"),
            ("journal", result.journal_sha256),
            ("report", result.report),
        ],
    )
    return 0


def _train(options: argparse.Namespace) -> int:
    from modelwright.app.commands.train import train
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, forms_table, number, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "reading the declaration") as watch:
        result = train(load(options.system), watch.step)
    if options.json:
        _print_json(result)
        return 0
    same = result.equivalence or {}
    equal = f", equal on {same.get('rows', 0):,} rows" if same.get("accepted") else ": no compiled form is equal"
    rows = [
        ("release", result.release + (" (champion)" if result.promoted else " (registered)")),
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


def _ingest(options: argparse.Namespace) -> int:
    from modelwright.app.commands.ingest import ingest
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "reading") as watch:
        summary = ingest(
            load(options.system), options.paths, lambda path, rows: watch.step(f"reading {path.name}"), options.event
        )
    if options.json:
        _print_json(summary)
        return 0
    figures(
        console,
        [
            ("files", f"{summary.files:,}"),
            ("rows", f"{summary.rows:,}"),
            ("new events", f"{summary.events:,}"),
            ("new outcomes", f"{summary.outcomes:,}"),
            ("known already", f"{summary.duplicates:,}"),
            ("quarantined", f"{summary.quarantined:,}"),
            *((f"  {count:,}", reason) for reason, count in list(summary.reasons.items())[:10]),
        ],
    )
    return 0


def _status(options: argparse.Namespace) -> int:
    from modelwright.app.commands.status import status
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, number, parity_line, terminal

    answer = status(load(options.system), options.of)
    if options.json:
        _print_json(answer)
        return 0
    champion, challenger = answer.champion, answer.challenger
    drifted = [
        f"{name} {value:.2f}"
        for name, value in zip(answer.drift["columns"], answer.drift["psi"], strict=True)
        if value is not None and value >= answer.drift["threshold"]
    ] if answer.drift else []  # fmt: skip
    figures(
        terminal(),
        [
            ("system", answer.system),
            (
                "champion",
                f"{champion['release']} ({champion['runtime']}) since {champion['since']}" if champion else "none",
            ),
            ("challenger", f"{challenger['release']} since {challenger['since']}" if challenger else "none"),
            (f"live {answer.metric}", number(answer.live)),
            ("events", f"{answer.events:,}"),
            ("predictions", f"{answer.predictions:,}"),
            ("outcomes", f"{answer.outcomes:,}"),
            *([("rows of other events", f"{answer.others:,}")] if answer.others else []),
            ("quarantined", f"{answer.quarantined:,}"),
            ("drifted columns", ", ".join(drifted) or "none"),
            ("parity", parity_line(answer.parity)),
            ("decisions", f"{answer.journal_rows:,} (modelwright journal)"),
            ("workspace", answer.workspace),
        ],
    )
    return 0


def _journal(options: argparse.Namespace) -> int:
    from modelwright.app.commands.journal import journal
    from modelwright.app.system import load
    from modelwright.app.terminal import decision_line, terminal

    rows = journal(load(options.system), options.of)
    if options.json:
        for row in rows:
            _print_json(row)
        return 0
    console = terminal()
    for row in rows:
        console.print(decision_line(row), soft_wrap=True)
    console.print(f"[dim]{len(rows)} decisions, chain verified[/]")
    return 0


def _parity(options: argparse.Namespace) -> int:
    from modelwright.app.commands.parity import parity
    from modelwright.app.system import load
    from modelwright.app.terminal import parity_table, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "computing again what was served") as watch:
        result = parity(load(options.system), options.of, options.since, watch.reach)
    if options.json:
        _print_json(result)
    else:
        parity_table(console, result)
    # Nothing compared is no parity.
    return 1 if result.differ or not result.checked + result.shadow else 0


def _predict(options: argparse.Namespace) -> int:
    from modelwright.app.commands.predict import predict
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "reading") as watch:
        result = predict(load(options.system), options.given, options.out, watch)
    if options.json:
        _print_json(result)
        return 0
    figures(
        console,
        [
            ("rows", f"{result.rows:,}"),
            ("refused", f"{result.refused:,}"),
            ("release", result.release),
            ("rows a second", f"{result.rows_per_second:,.0f}"),
            ("written to", result.out),
        ],
    )
    return 0


def _serve(options: argparse.Namespace) -> int:
    from modelwright.app.commands.serve import serve

    return serve(
        options.release,
        options.workspace,
        options.host,
        options.port,
        _front(options),
        no_log=options.no_log,
        json=options.json,
    )


def _key_create(options: argparse.Namespace) -> int:
    from modelwright.app.commands.key import create

    made = create(options.of, options.name, list(dict.fromkeys(options.scope)), options.rate)
    if options.json:
        _print_json(made)
    else:
        print(made.key, flush=True)
        print("this key is shown once and stored only as a hash; keep it now", file=sys.stderr)
    return 0


def _key_list(options: argparse.Namespace) -> int:
    from modelwright.app.commands.key import listed

    keys = listed(options.of)
    if options.json:
        _print_json({"keys": keys})
        return 0
    for key in keys:
        rate = f", {key.rate}" if key.rate else ""
        state = f"revoked {key.revoked}" if key.revoked else "good"
        print(f"{key.name}  ·  {', '.join(key.scopes)}{rate}  ·  made {key.created}  ·  {state}")
    if not keys:
        print("no keys: whoever reaches a server may ask it everything", file=sys.stderr)
    return 0


def _key_revoke(options: argparse.Namespace) -> int:
    from modelwright.app.commands.key import revoke

    left = revoke(options.of, options.name)
    if options.json:
        _print_json({"name": options.name, "left": left})
    else:
        print(
            f"{options.name} is revoked; {left or 'no'} good key{'' if left == 1 else 's'} left, and a key is still needed"
        )
    return 0


def _run(options: argparse.Namespace) -> int:
    from modelwright.app.commands.run import RunOptions, run
    from modelwright.app.system import load

    if options.replay is None and (options.seconds is not None):
        raise UsageError("--seconds goes with --replay FILE; see `modelwright run --help`")
    return run(
        load(options.system),
        RunOptions(
            host=options.host, port=options.port, front=_front(options), replay=options.replay, start=options.start,
            once=options.once and options.replay is not None, seconds=options.seconds, json=options.json,
        ),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
