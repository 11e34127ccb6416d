"""`--inject FAULT` as people write it, and back from it the fault, or one line that says what is wrong with it.

    missing:COLUMN               the column is not sent any more
    units:COLUMN*100             it is sent in other units (or /100)
    renamed:COLUMN:OLD=NEW       one of its categories is called otherwise
    shift:COLUMN+SIGMAS          it moves by so many of its standard deviations (or -), at once
    gradual:COLUMN+SIGMAS        the same step by step, to the end of the stretch
    late:7d                      no outcomes for so long, then all of them at once
    lost:7d                      no outcomes for so long, and they never come
    trainer-dies                 the trainer dies at its next training (trainer-dies:3, at its next three)
    bad-challenger               the next challenger passes its gates and is bad live

`@0.6` after it has it begin at that share of the history, `@0.6-0.8` end there too.
"""

import difflib
import math
import re
from collections.abc import Callable
from typing import Any

from modelwright.control.faults.challenger import BadChallenger
from modelwright.control.faults.columns import Missing, Moved, Renamed, Units
from modelwright.control.faults.fault import Fault
from modelwright.control.faults.outcomes import OutcomesFault
from modelwright.control.faults.trainer import TrainerDies
from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError, UsageError
from modelwright.spec.system import System

FORMS = {
    "missing": "missing:COLUMN",
    "units": "units:COLUMN*FACTOR",
    "renamed": "renamed:COLUMN:OLD=NEW",
    "shift": "shift:COLUMN+SIGMAS",
    "gradual": "gradual:COLUMN+SIGMAS",
    "late": "late:DURATION",
    "lost": "lost:DURATION",
    "trainer-dies": "trainer-dies",
    "bad-challenger": "bad-challenger",
}
_WHERE = re.compile(r"(?P<rest>.*)@(?P<begin>[0-9.]+)(?:-(?P<end>[0-9.]+))?", re.DOTALL)
_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_UNITS = re.compile(rf"(?P<column>[^*/]+)(?P<sign>[*/])(?P<number>{_NUMBER})")
_MOVED = re.compile(rf"(?P<column>[^+-]+)(?P<sign>[+-])(?P<number>{_NUMBER})")


def parse_fault(text: str, system: System) -> Fault:
    """The fault that a text asks for, of that system. Raises `UsageError`."""
    where = _WHERE.fullmatch(text)
    shares: dict[str, Any] = {"text": text}
    said = text
    if where is not None:
        said = where["rest"]
        shares |= {name: _share(where[name], text) for name in ("begin", "end") if where[name] is not None}
    kind, colon, what = said.partition(":")
    if kind not in FORMS:
        near = difflib.get_close_matches(kind, FORMS, n=1)
        hint = f"did you mean {FORMS[near[0]]}?" if near else f"the faults are {', '.join(FORMS.values())}"
        raise UsageError(f"--inject {text}: {kind!r} is no fault; {hint}")
    if kind in ("missing", "units", "renamed", "shift", "gradual"):
        return _PARSE[kind](kind, what, shares, system)
    if shares.get("end") is not None:
        raise UsageError(f"--inject {text}: it ends by itself; say only where it begins, @{shares['begin']:g}")
    if kind in ("late", "lost") and system.label.ahead is not None:
        raise UsageError(
            f"--inject {text}: the outcome {system.label.name} is read from later events, and comes as they do; put the fault "
            "into a column of theirs"
        )
    if colon and kind == "bad-challenger":
        raise UsageError(f"--inject {text}: write only {kind}")
    return _PARSE[kind](kind, what, shares, system)


def _missing(kind: str, what: str, shares: dict[str, Any], system: System) -> Fault:
    return Missing(column=_column(what, shares["text"], system), **shares)


def _units(kind: str, what: str, shares: dict[str, Any], system: System) -> Fault:
    column, sign, number = _split(_UNITS, kind, what, shares["text"], system)
    factor = number if sign == "*" else 1 / number if number else 0.0
    if not (0 < factor < math.inf) or factor == 1:
        raise UsageError(f"--inject {shares['text']}: the factor changes nothing, or too much; give one such as *100")
    return Units(column=column, factor=factor, **shares)


def _renamed(kind: str, what: str, shares: dict[str, Any], system: System) -> Fault:
    column, _, values = what.partition(":")
    old, equals, new = values.partition("=")
    if not equals or old == new:
        raise UsageError(
            f"--inject {shares['text']}: write {FORMS[kind]}, such as renamed:{column or 'country'}:DE=GER"
        )
    return Renamed(column=_column(column, shares["text"], system, ("str",)), old=old, new=new, **shares)


def _moved(kind: str, what: str, shares: dict[str, Any], system: System) -> Fault:
    column, sign, number = _split(_MOVED, kind, what, shares["text"], system)
    if not (0 < number < math.inf):
        raise UsageError(
            f"--inject {shares['text']}: by no standard deviations it does not move; give some, such as +2"
        )
    return Moved(
        column=column,
        sigmas=number if sign == "+" else -number,
        how="sudden" if kind == "shift" else "gradual",
        **shares,
    )


def _outcomes(kind: str, what: str, shares: dict[str, Any], system: System) -> Fault:
    try:
        lasts_us = duration_us(what, f"--inject {shares['text']}: the time")
    except DeclarationError as error:
        raise UsageError(str(error)) from None
    if lasts_us <= 0:
        raise UsageError(f"--inject {shares['text']}: give a time, such as {kind}:7d")
    return OutcomesFault(lasts_us=lasts_us, how="late" if kind == "late" else "lost", **shares)


def _trainer(kind: str, what: str, shares: dict[str, Any], system: System) -> Fault:
    if what and not (what.isascii() and what.isdigit() and 0 < int(what[:6]) < 100_000):
        raise UsageError(f"--inject {shares['text']}: {what!r} is no number of deaths; write {kind}, or {kind}:3")
    return TrainerDies(times=int(what or 1), **shares)


def _challenger(kind: str, what: str, shares: dict[str, Any], system: System) -> Fault:
    return BadChallenger(**shares)


_PARSE: dict[str, Callable[[str, str, dict[str, Any], System], Fault]] = {
    "missing": _missing, "units": _units, "renamed": _renamed, "shift": _moved, "gradual": _moved, "late": _outcomes,
    "lost": _outcomes, "trainer-dies": _trainer, "bad-challenger": _challenger,
}  # fmt: skip


def _share(said: str, text: str) -> float:
    try:
        share = float(said)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise UsageError(f"--inject {text}: {said} is no share of the history; give one between 0 and 1, such as @0.6")
    return share


def _split(form: re.Pattern[str], kind: str, what: str, text: str, system: System) -> tuple[str, str, float]:
    """The column, the sign and the number."""
    found = form.fullmatch(what)
    if found is None:
        raise UsageError(f"--inject {text}: write {FORMS[kind]}")
    return _column(found["column"], text, system, ("float", "int")), found["sign"], float(found["number"])


def _column(name: str, text: str, system: System, kinds: tuple[str, ...] = ()) -> str:
    """A column of the event that may be damaged, of one of some kinds."""
    contract = system.contract
    known = [one for one in contract.names if one not in (contract.id, contract.time)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(known)}"
        is_own = "is what an event is known by" if name in contract.names else "is no column"
        raise UsageError(f"--inject {text}: {name!r} {is_own} of {contract.name}; {hint}")
    kind = contract.field(name).kind
    if kinds and kind not in kinds:
        fitting = [one for one in known if contract.field(one).kind in kinds]
        wanted = "a text" if kinds == ("str",) else "a number"
        others = f"; {', '.join(fitting)} would do" if fitting else ""
        raise UsageError(f"--inject {text}: {name} is a {kind}, and this takes {wanted}{others}")
    return name
