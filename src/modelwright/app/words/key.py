"""The words of `modelwright key`."""

import argparse
import sys
from pathlib import Path

from modelwright.app.words.parser import Parser, print_json


def add(sub: Parser) -> None:
    """Add its options."""
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    made = {}
    for action, help, handler in (
        ("create", "make a key; it is shown once", _key_create),
        ("list", "the keys there are, without the keys", _key_list),
        ("revoke", "make a key good for nothing, within a second", _key_revoke),
    ):
        one = made[action] = actions.add_parser(action, help=help, description=help)
        one.add_argument(
            "of",
            nargs="?",
            type=Path,
            default=Path("system.py"),
            metavar="SYSTEM|DIR",
            help="a system file, a release folder, or a state folder (the --workspace of serve)",
        )
        one.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")
        one.set_defaults(handler=handler)
        if action != "list":
            one.add_argument("--name", required=True, help="whose it is")
    made["create"].add_argument(
        "--scope",
        action="append",
        required=True,
        choices=["predict", "ingest", "admin"],
        help="what it is for: predict (/predict, /v2), ingest (/events, /outcomes), admin (/metrics, the console); "
        "may be given several times",
    )
    made["create"].add_argument("--rate", metavar="N/UNIT", help="so many requests a unit of time, such as 100/s")


def _key_create(options: argparse.Namespace) -> int:
    from modelwright.app.commands.key import create

    made = create(options.of, options.name, list(dict.fromkeys(options.scope)), options.rate)
    if options.json:
        print_json(made)
    else:
        print(made.key, flush=True)
        print("this key is shown once and stored only as a hash; keep it now", file=sys.stderr)
    return 0


def _key_list(options: argparse.Namespace) -> int:
    from modelwright.app.commands.key import listed

    keys = listed(options.of)
    if options.json:
        print_json({"keys": keys})
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
        print_json({"name": options.name, "left": left})
    else:
        print(
            f"{options.name} is revoked; {left or 'no'} good key{'' if left == 1 else 's'} left, and a key is still needed"
        )
    return 0
