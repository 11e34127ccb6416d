"""Rows of other protocols, by column name, as events of the contract: checked as `/predict` checks them, by the same type.

An id that is not sent is made, and a time that is not sent is now: those protocols' clients often know neither. What is
sent without an id counts each time it is sent.
"""

import math
import uuid
from typing import Any

import msgspec

from modelwright.core.clock import from_us
from modelwright.core.errors import ContractError
from modelwright.serving.events import Event
from modelwright.serving.limits import ROWS_LIMIT
from modelwright.serving.plane import Plane
from modelwright.serving.problems import HttpError, contract_error


def check_count(rows: int) -> None:
    """HttpError 413 for too many rows."""
    if rows > ROWS_LIMIT:
        raise HttpError(413, f"{rows} rows; at most {ROWS_LIMIT} in one request")


class RowReader:
    """Makes events of rows. `id` is the column that names an event, None where the contract has no room for one; `made` are
    the columns that are made where they are missing."""

    def __init__(self, plane: Plane) -> None:
        contract = plane.contract
        self._contract = contract
        self._clock = plane.clock
        self._struct, self._take = plane.operations["predict"].body, plane.operations["predict"].take
        self._nullable = frozenset(field.name for field in contract.fields if field.nullable)
        self._whole = frozenset(field.name for field in contract.fields if field.kind == "int")
        self._makes_id = contract.id is not None and contract.field(contract.id).kind == "str"
        self.made = frozenset(
            name for name in (contract.id if self._makes_id else None, contract.time) if name is not None
        )
        self.id = contract.id or ("id" if "id" not in contract.names else None)

    def events(self, rows: list[dict[str, Any]]) -> list[Event]:
        """The rows as events; ContractError naming column and row, HttpError 413 for too many."""
        if not rows:
            raise ContractError("there are no rows; send at least one")
        check_count(len(rows))
        taken = []
        for place, row in enumerate(rows):
            try:
                taken.append(self._event(row))
            except ContractError as error:
                raise (ContractError(f"{error} (row {place})", error.field) if len(rows) > 1 else error) from None
        return taken

    def _event(self, row: dict[str, Any]) -> Event:
        numbers = [value for value in row.values() if type(value) is float]
        # Of most rows, a look at all numbers together says that none of them needs one of its own.
        if not math.isfinite(sum(numbers)) or any(type(row.get(name)) is float for name in self._whole):
            row = {name: self._number(name, value) if type(value) is float else value for name, value in row.items()}
        else:
            row = row.copy()
        contract = self._contract
        if self._makes_id and contract.id is not None:
            row.setdefault(contract.id, uuid.uuid4().hex)
        if contract.time is not None and contract.time not in row:
            row[contract.time] = from_us(self._clock.now_us())
        try:
            event: Event = self._take(msgspec.convert(row, self._struct))
            return event
        except msgspec.ValidationError as error:
            raise contract_error(error, self._struct.__struct_fields__) from None

    def _number(self, name: str, value: float) -> float | None:
        """As JSON would have it: NaN is how arrays and data frames say that a value is missing, 3.0 is a whole number, and
        nothing else that is not finite is taken."""
        if not math.isfinite(value):
            if math.isnan(value) and name in self._nullable:
                return None
            raise ContractError(f"{name}: not a finite number", name)
        return int(value) if name in self._whole and value.is_integer() else value
