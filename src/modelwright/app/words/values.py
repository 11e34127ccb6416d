"""Values of options: text to number, or an error that says what to give."""

import argparse
import math


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text[:12]) > 0):
        raise argparse.ArgumentTypeError(f"{text} is no count: give a whole number from 1 on")
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds, above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no time: give seconds, such as 30")
    return value


def milliseconds(text: str) -> float:
    """A wait in milliseconds, up to 1000."""
    value = _number(text)
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is no wait: give milliseconds up to 1000, such as 2, or 0 for none")
    return value


def share(text: str) -> float:
    """A number between 0 and 1, neither included."""
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: give a number between 0 and 1, such as 0.2")
    return value


def port(text: str) -> int:
    """A port, or 0 for a free one."""
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is no port: give a number up to 65535, or 0 for a free one")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
