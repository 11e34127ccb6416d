"""The words of `modelwright approve`: a decision like the others, and for which release."""

from modelwright.app.words import decide
from modelwright.app.words.parser import Parser


def add(sub: Parser) -> None:
    """Add its options."""
    decide.add(sub)
    sub.add_argument("--release", metavar="NAME", help="a registered release, or the beginning of its name")
