"""The contract: one event class in all its forms (msgspec type, Arrow schema, JSON).

A `Contract` is made from a decorated class by `modelwright.event`, travels in a release as JSON, and is all that
ingest and serving know of the user's class.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

FieldKind = Literal["float", "int", "bool", "str", "time"]
PYTHON_TYPE: dict[str, type] = {"float": float, "int": int, "bool": bool, "str": str, "time": datetime}
_WHOLE = {"gt": math.floor, "ge": math.ceil, "lt": math.ceil, "le": math.floor}
INT64 = (-(2**63), 2**63 - 1)


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column of an event: its name in code, its name in files, its kind and its limits. `text`: it is free text."""

    name: str
    kind: FieldKind
    column: str
    nullable: bool = False
    has_default: bool = False
    default: float | int | bool | str | None = None
    choices: tuple[str, ...] | None = None
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    description: str | None = None
    text: bool = False

    def annotation(self) -> Any:
        """The msgspec type that decodes and checks a value of this field."""
        base: Any = Literal[self.choices] if self.choices else PYTHON_TYPE[self.kind]
        limits = {
            name: getattr(self, name)
            for name in ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern")
            if getattr(self, name) is not None
        }
        if self.kind == "int":
            if "gt" not in limits:
                limits.setdefault("ge", INT64[0])
            if "lt" not in limits:
                limits.setdefault("le", INT64[1])
            # Whole limits that say the same of whole numbers.
            limits |= {name: round_to(limits[name]) for name, round_to in _WHOLE.items() if name in limits}
        if limits or self.description:
            base = Annotated[base, msgspec.Meta(description=self.description, **limits)]
        return base | None if self.nullable else base


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What an event looks like.

    `id`, `entity` and `time` name fields, or are None where the event has none. `fields` keep the class's order.
    """

    name: str
    fields: tuple[Field, ...]
    id: str | None = None
    entity: str | None = None
    time: str | None = None
    description: str = ""

    def field(self, name: str) -> Field:
        """The field of that name; KeyError where there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Field names in order."""
        return tuple(field.name for field in self.fields)

    def input_names(self) -> tuple[str, ...]:
        """The columns a model sees unless told otherwise: all but id, entity and time."""
        return tuple(name for name in self.names if name not in (self.id, self.entity, self.time))

    def struct(self) -> type[msgspec.Struct]:
        """A msgspec Struct that decodes exactly this event; without an id field it accepts a reserved member `id`.

        Unknown members are refused: a misspelt optional column would otherwise be silently missing.
        """
        members: list[Any] = []
        for field in self.fields:
            if field.has_default:
                members.append((field.name, field.annotation(), field.default))
            else:
                members.append((field.name, field.annotation()))
        if self.id is None and "id" not in self.names:
            members.append(("id", Annotated[str, msgspec.Meta(min_length=1)] | None, None))
        return msgspec.defstruct(
            self.name, members, kw_only=True, forbid_unknown_fields=True, namespace={"__doc__": self.description}
        )
