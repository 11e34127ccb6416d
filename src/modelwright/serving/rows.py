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
from modelwright.serving.dataplane import Dataplane
from modelwright.serving.events import Event
from modelwright.serving.http import ROWS_LIMIT
from modelwright.serving.problems import HttpError, contract_error


class RowReader:
    """Makes events of rows. `id` is the column that names an event, None where the contract has no room for one."""

    def __init__(self, plane: Dataplane) -> None:
        contract = plane.contract
        self._plane = plane
        self._struct = contract.struct()
        self._nullable = frozenset(field.name for field in contract.fields if field.nullable)
        self._whole = frozenset(field.name for field in contract.fields if field.kind == "int")
        self._makes_id = contract.id is not None and contract.field(contract.id).kind == "str"
        self.id = contract.id or ("id" if "id" not in contract.names else None)

    def events(self, rows: list[dict[str, Any]]) -> list[Event]:
        """The rows as events; ContractError naming column and row, HttpError 413 for too many."""
        if not rows:
            raise ContractError("there are no rows; send at least one")
        if len(rows) > ROWS_LIMIT:
            raise HttpError(413, f"{len(rows)} rows; at most {ROWS_LIMIT} in one request")
        taken = []
        for place, row in enumerate(rows):
            try:
                taken.append(self._event(row))
            except ContractError as error:
                raise (ContractError(f"{error} (row {place})", error.field) if len(rows) > 1 else error) from None
        return taken

    def _event(self, row: dict[str, Any]) -> Event:
        row = {name: self._number(name, value) if type(value) is float else value for name, value in row.items()}
        contract = self._plane.contract
        if self._makes_id and contract.id is not None:
            row.setdefault(contract.id, uuid.uuid4().hex)
        if contract.time is not None and contract.time not in row:
            row[contract.time] = from_us(self._plane.clock.now_us())
        try:
            return self._plane.event_of(msgspec.convert(row, self._struct))
        except msgspec.ValidationError as error:
            raise contract_error(error) from None

    def _number(self, name: str, value: float) -> float | None:
        """As JSON would have it: NaN is how arrays and data frames say that a value is missing, 3.0 is a whole number, and
        nothing else that is not finite is taken."""
        if not math.isfinite(value):
            if math.isnan(value) and name in self._nullable:
                return None
            raise ContractError(f"{name}: not a finite number", name)
        return int(value) if name in self._whole and value.is_integer() else value
