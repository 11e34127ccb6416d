"""`Label`: what is predicted, of what kind, and how long after the event it is known."""

from datetime import timedelta
from typing import Any, Literal

import msgspec

from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError

LabelKind = Literal["bool", "str", "int", "float"]
_KIND: dict[Any, LabelKind] = {bool: "bool", str: "str", int: "int", float: "float"}


class LabelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A label as data: the outcome's name and kind, and the delay in microseconds until it is known."""

    name: str
    kind: LabelKind
    delay_us: int

    @property
    def task(self) -> Literal["classification", "regression"]:
        """Booleans and strings are classes, numbers are amounts."""
        return "classification" if self.kind in ("bool", "str") else "regression"


def Label(name: str, kind: type, *, delay: str | timedelta) -> LabelSpec:
    """Declare the outcome to predict.

    `name` is the column of the history (and names the outcome in past-outcome features); `kind` is `bool`, `str`
    (classes), `int` or `float` (amounts); `delay` is how long after its event the outcome is known. A file's outcomes
    become history, and training material, at `time + delay`.

    >>> Label("is_fraud", bool, delay="7d").task
    'classification'
    """
    if not (isinstance(name, str) and name.isidentifier() and not name.startswith("_")):
        raise DeclarationError(f"Label({name!r}): the name must be a Python identifier without a leading underscore")
    if not isinstance(kind, type) or kind not in _KIND:
        raise DeclarationError(f"Label({name!r}, {kind!r}): the kind is one of bool, str, int, float")
    return LabelSpec(name=name, kind=_KIND[kind], delay_us=duration_us(delay, f"Label({name!r}, delay=)"))
