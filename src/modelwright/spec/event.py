"""`@mw.event`: a plain annotated class becomes the contract of everything downstream."""

import difflib
import math
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.spec.contract import Contract, Field

T = TypeVar("T")
_KIND: dict[Any, Any] = {float: "float", int: "int", bool: "bool", str: "str", datetime: "time"}


@dataclass(frozen=True, kw_only=True)
class Meta:
    """Limits of a field and its name in files, for `Annotated[float, mw.Meta(gt=0, column="Monthly Charges")]`.

    `gt`, `ge`, `lt`, `le` bound numbers; `min_length`, `max_length`, `pattern` bound strings. `text=True` says that a
    string is free text, which the model is given as it is, and no category.
    """

    column: str | None = None
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    description: str | None = None
    text: bool = False


@overload
def event(cls: type[T], /) -> type[T]: ...


@overload
def event(
    *, id: str | None = None, entity: str | None = None, time: str | None = None
) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(kw_only_default=True)
def event(
    cls: type[T] | None = None, /, *, id: str | None = None, entity: str | None = None, time: str | None = None
) -> Any:
    """Declare an event class: a msgspec Struct whose annotations are the contract.

    `id`, `entity` and `time` name fields of the class. Field types are `str`, `int`, `float`, `bool`, `datetime`, a
    `Literal` of strings, each possibly `| None`. Naive times mean UTC.

    Raises `DeclarationError` where a field's type is none of these, or a named field does not exist.

    >>> @event(id="payment_id", time="at")
    ... class Payment:
    ...     payment_id: str
    ...     at: datetime
    ...     amount: Annotated[float, Meta(gt=0)]
    >>> contract_of(Payment).input_names()
    ('amount',)
    """

    def declare(cls: type[T]) -> type[T]:
        contract = _contract(cls, id, entity, time)
        struct = contract.struct()
        struct.__module__ = cls.__module__
        struct.__qualname__ = cls.__qualname__
        struct.__contract__ = contract  # type: ignore[attr-defined]  # the one attribute we add to the user's class
        return struct  # type: ignore[return-value]  # dataclass_transform tells checkers it behaves as the class did

    return declare if cls is None else declare(cls)


def contract_of(event_class: Any) -> Contract:
    """The contract of a class made by `@mw.event`; DeclarationError for any other object."""
    contract = getattr(event_class, "__contract__", None)
    if not isinstance(contract, Contract):
        name = getattr(event_class, "__name__", repr(event_class))
        raise DeclarationError(f"{name} is not an event class: decorate it with @mw.event(...)")
    return contract


def _contract(cls: type, id: str | None, entity: str | None, time: str | None) -> Contract:
    if hasattr(cls, "__contract__"):
        raise DeclarationError(f"{cls.__name__}: an event class is made of no other event class; write its fields out")
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, SyntaxError, TypeError) as error:
        raise DeclarationError(f"{cls.__name__}: an annotation does not resolve: {error}; name a type") from None
    if not hints:
        raise DeclarationError(f"{cls.__name__} has no fields: annotate its columns, for instance `amount: float`")
    fields = tuple(_field(cls, name, hint) for name, hint in hints.items())
    contract = Contract(
        name=cls.__name__, fields=fields, id=id, entity=entity, time=time, description=(cls.__doc__ or "").strip()
    )
    for role, name in (("id", id), ("entity", entity), ("time", time)):
        if name is not None and name not in contract.names:
            near = difflib.get_close_matches(str(name), contract.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its fields are {', '.join(contract.names)}"
            raise DeclarationError(f"{cls.__name__}: {role}={name!r} is no field of the class; {hint}")
    if time is not None and (contract.field(time).kind != "time" or contract.field(time).nullable):
        raise DeclarationError(f"{cls.__name__}.{time}: the time field must be a `datetime` that is never None")
    if id is not None and (contract.field(id).kind not in ("str", "int") or contract.field(id).nullable):
        raise DeclarationError(f"{cls.__name__}.{id}: the id field must be a `str` or an `int` that is never None")
    for role, name in (("id", id), ("entity", entity)):
        if name is not None and contract.field(name).text:
            raise DeclarationError(f"{cls.__name__}.{name}: the {role} is no free text; leave text=True out")
    readers: dict[str, str] = {}
    for field in fields:
        if field.column in readers:
            raise DeclarationError(
                f"{cls.__name__}: {readers[field.column]} and {field.name} read the same file column {field.column!r}; "
                "name another with mw.Meta(column=...)"
            )
        readers[field.column] = field.name
    return contract


def _field(cls: type, name: str, hint: Any) -> Field:
    if name.startswith("_"):
        raise DeclarationError(f"{cls.__name__}.{name}: names that begin with an underscore are modelwright's own")
    hint, outer = _limits(cls, name, hint)
    nullable = False
    if get_origin(hint) in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        nullable = len(options) < len(get_args(hint))
        hint = options[0] if len(options) == 1 else hint
    hint, inner = _limits(cls, name, hint)  # Annotated[float, Meta()] | None
    meta = outer or inner or Meta()
    choices = None
    if get_origin(hint) is Literal and all(isinstance(choice, str) for choice in get_args(hint)):
        choices, hint = tuple(get_args(hint)), str
    kind = next((kind for known, kind in _KIND.items() if hint is known), None)
    if kind is None:
        shown = getattr(hint, "__name__", str(hint))
        raise DeclarationError(
            f"{cls.__name__}.{name}: {shown} is no column type; use str, int, float, bool, datetime or a Literal of "
            "strings, each possibly `| None`"
        )
    if meta.text and (kind != "str" or choices is not None):
        raise DeclarationError(
            f"{cls.__name__}.{name}: text=True is for a plain `str`; a Literal's texts are categories"
        )
    field = Field(
        name=name,
        kind=kind,
        column=meta.column or name,
        nullable=nullable,
        has_default=hasattr(cls, name) or nullable,
        choices=choices,
        **{limit: getattr(meta, limit) for limit in Meta.__dataclass_fields__ if limit != "column"},
    )
    try:
        msgspec.json.Decoder(field.annotation())
        if not hasattr(cls, name):
            return field
        default = msgspec.convert(getattr(cls, name), field.annotation())
    except (TypeError, ValueError, re.error) as error:
        raise DeclarationError(f"{cls.__name__}.{name}: {error}") from None
    if isinstance(default, datetime) or (isinstance(default, float) and not math.isfinite(default)):
        raise DeclarationError(f"{cls.__name__}.{name}: {default!r} is no default; use `| None` if it may be missing")
    return msgspec.structs.replace(field, default=default)


def _limits(cls: type, name: str, hint: Any) -> tuple[Any, Meta | None]:
    """The type inside an `Annotated`, and its Meta."""
    if get_origin(hint) is not Annotated:
        return hint, None
    hint, *extras = get_args(hint)
    for extra in extras:
        if not isinstance(extra, Meta):
            raise DeclarationError(f"{cls.__name__}.{name}: annotate limits with mw.Meta(...), not {extra!r}")
    return hint, extras[-1]
