"""An event as the planes take it: a decoded body's values in the contract's order, its times checked and in microseconds.

Between decoding and the data plane, with a log or without. Knows nothing of either.
"""

import os
from datetime import UTC, datetime
from typing import Any

import msgspec

from modelwright.core.clock import Clock, to_us
from modelwright.core.errors import ContractError
from modelwright.spec.contract import Contract

FUTURE_US = 5 * 60 * 1_000_000
"""How far a request's time may be ahead of the clock."""
FIRST_US, LAST_US = to_us(datetime.min.replace(tzinfo=UTC)), to_us(datetime.max.replace(tzinfo=UTC))
"""The instants that a log can hold."""


class Event(msgspec.Struct, gc=False):
    """One decoded event: values in the contract's order with times as microseconds. `digest`: of its body, where it is
    logged. `other` names another event than the system's own. `named`: its id came with it."""

    id: str
    at_us: int
    values: list[Any]
    digest: bytes = b""
    other: str | None = None
    named: bool = True


class EventForm:
    """Where the parts of an event stand in its values."""

    def __init__(self, contract: Contract, other: str | None = None) -> None:
        self._names = contract.names
        self._other = other
        self._times = [place for place, field in enumerate(contract.fields) if field.kind == "time"]
        self._time = contract.names.index(contract.time or "")
        self._id = contract.names.index(contract.id) if contract.id is not None else None

    def event(self, body: msgspec.Struct) -> Event:
        """The event of a decoded body; an id is made where none is given.

        Raises `ContractError` for a time that no log can hold.
        """
        values = list(msgspec.structs.astuple(body))
        reserved = values.pop() if len(values) > len(self._names) else None
        for place in self._times:
            if values[place] is not None:
                values[place] = to_us(values[place])
                if not FIRST_US <= values[place] <= LAST_US:
                    name = self._names[place]
                    raise ContractError(f"{name}: in UTC, the time is outside the years 1 to 9999", name)
        id = str(values[self._id]) if self._id is not None else reserved or os.urandom(16).hex()
        named = self._id is not None or bool(reserved)
        return Event(id, values[self._time], values, other=self._other, named=named)

    def check_ahead(self, at_us: int, clock: Clock) -> None:
        """ContractError for an event of a time ahead of the clock."""
        if at_us > clock.now_us() + FUTURE_US:
            name = self._names[self._time]
            raise ContractError(f"{name}: the event's time is more than 5 minutes ahead of the clock", name)
