"""Outcomes that are read from later events: what `mw.Label.ahead` declares, computed by the kernel that features use.

A window ahead of an event at *t* holds `t < at <= t + over`. In whole microseconds that is the window behind the moment
`t + over + 1`, and that moment is when the outcome is known. So an outcome is the feature its key has then, and needs no
kernel of its own. The offline host answers for a whole log here; `control.ahead` asks the online host, window by window.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.errors import DataError
from modelwright.features import table
from modelwright.features.offline import compute
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec
from modelwright.spec.view import ViewSpec

INSTANT = pa.timestamp("us", tz="UTC")
_ARROW = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}


def view_ahead(label: LabelSpec, contract: Contract) -> ViewSpec:
    """The view whose one feature, at the moment a window has closed, is the outcome of the event it follows."""
    assert label.ahead is not None
    return ViewSpec(event=contract.name, by=label.by, features={label.name: label.ahead})


def outcomes_ahead(events: pa.Table, contract: Contract, label: LabelSpec, upto_us: int | None = None) -> pa.Table:
    """The outcomes that the events themselves tell: `_id`, a column named as the label, `_known_at`, in order of time.

    `events` has the contract's columns and `_id`; where it has `_seq`, that orders events of one time. A window that no
    event is later than has not closed, and has no outcome yet; with `upto_us`, one whose outcome is known after it. Nor
    has an event without a key, or over whose window the aggregate is missing.
    """
    assert contract.time is not None
    at_us = events[contract.time].cast(INSTANT).cast(pa.int64()).to_numpy()
    if upto_us is None:
        upto_us = int(at_us.max()) if len(at_us) else 0
    whole = at_us <= upto_us - label.delay_us
    kinds = {field.name: str(field.kind) for field in contract.fields}
    (key,), _ = table.keys([events], label.by, ["events"], kinds)
    places = np.flatnonzero(whole & (key >= 0))
    seq = events["_seq"].to_numpy() if "_seq" in events.column_names else np.arange(len(at_us))
    places = places[np.lexsort((seq[places], at_us[places]))]
    known = pa.array(at_us[places] + label.delay_us).cast(INSTANT)
    asked = pa.table({**{column: events[column].take(pa.array(places)) for column in label.by}, contract.time: known})
    found = compute([view_ahead(label, contract)], contract, None, events, asked)[label.name]
    outcomes = pa.table(
        {"_id": events["_id"].take(pa.array(places)), label.name: _as_label(found, label), "_known_at": known}
    )
    return outcomes.filter(pc.is_valid(outcomes[label.name]))


def as_outcome(value: Any, label: LabelSpec) -> Any:
    """One answer of the online host as an outcome; None where it is missing."""
    if value is None or value != value:
        return None
    if label.kind == "bool":
        return value > 0
    if label.kind == "int":
        return int(value)
    return value if label.kind == "str" else float(value)


def _as_label(found: pa.ChunkedArray, label: LabelSpec) -> pa.ChunkedArray:
    """The host's answers in the label's kind, null where missing."""
    if label.kind == "str":
        return found.cast(pa.string())
    found = pc.if_else(pc.is_nan(found), None, found) if pa.types.is_floating(found.type) else found
    found = pc.greater(found, 0) if label.kind == "bool" else found
    try:
        return found.cast(_ARROW[label.kind])
    except pa.ArrowInvalid as error:
        raise DataError(f"the label {label.name} is declared as {label.kind}: {error}; say kind=float") from None
