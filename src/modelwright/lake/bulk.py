"""Many rows at once: history files into the log.

Ids are checked and inserted in the transaction that adds the rows, and the rows enter the buffer as one batch of Arrow
a slice, so that a file of a million rows costs no million puts of rows. Called by `Log`, which documents it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from modelwright.core.errors import ContractError, DataError, UsageError
from modelwright.lake import buffer
from modelwright.lake.arrow import arrow_schema, conform, python_values, to_ipc
from modelwright.lake.counters import counters
from modelwright.lake.encode import matrix_of, numbers_of
from modelwright.lake.history import is_nan
from modelwright.lake.identity import Identity, id_key, identity_of, place_of
from modelwright.lake.log import Log
from modelwright.lake.rows import Appended, TableName, events_table, pack
from modelwright.lake.store import Transaction, seq_key

SLICE_ROWS = 50_000
"""Rows of one transaction: others wait no longer than it takes."""


def append_events(log: Log, table: pa.Table, digests: list[bytes], event: str | None = None) -> Appended:
    """Append events; see `Log.append_events`."""
    if len(digests) != table.num_rows:
        raise UsageError(f"append_events: {table.num_rows} rows came with {len(digests)} digests; give one a row")
    filled = {"_seq": 0, "_live": False, "_arrived_at": log.clock.now_us()}
    events = conform(table, log.schema.events(event), filled)
    time = log.schema.contract_of(event).time
    _refuse_missing(events, "_id", *([time] if time else []))
    result = Appended()
    for start in range(0, events.num_rows, SLICE_ROWS):
        part = events.slice(start, SLICE_ROWS)
        with log.store.alone() as transaction:
            done = _events(log, transaction, part, digests[start : start + SLICE_ROWS], start, event)
        log.strings.remember(transaction.strings)
        result = _sum(result, done)
    return result


def _events(
    log: Log, transaction: Transaction, events: pa.Table, digests: list[bytes], start: int, event: str | None
) -> Appended:
    keys = [id_key(id, event) for id in events.column("_id").to_pylist()]
    seen = {key: identity_of(data).digest for key, data in _held(log, transaction, "ids", keys)}
    fresh, conflicts, duplicates = [], [], 0
    for row, (key, digest) in enumerate(zip(keys, digests, strict=True)):
        held = seen.get(key)
        if held is None:
            seen[key] = digest
            fresh.append(row)
        elif held == digest:
            duplicates += 1
        else:
            conflicts.append(start + row)
    if fresh:
        if len(fresh) < events.num_rows:
            events = events.take(pa.array(fresh))
        events = _numbered(log, transaction, events_table(event), events)
        _put_identities(log, transaction, events, [keys[row] for row in fresh], [digests[row] for row in fresh], event)
        log.history.add_events(transaction, events, event)
        log.history.flush(transaction)
    return Appended(added=len(fresh), duplicates=duplicates, conflicts=len(conflicts), conflict_rows=tuple(conflicts))


def _put_identities(
    log: Log, transaction: Transaction, events: pa.Table, keys: list[bytes], digests: list[bytes], event: str | None
) -> None:
    contract = log.schema.contract_of(event)
    packed: Iterable[bytes] = itertools.repeat(b"", len(keys))  # nothing comes later that another event is joined with
    if event is None:
        packed = map(pack, zip(*(python_values(events.column(name)) for name in contract.names), strict=True))
    times = python_values(events.column(contract.time or "_arrived_at"))
    seqs, live = events.column("_seq").to_pylist(), events.column("_live").to_pylist()
    items = [
        (key, Identity(seq, at_us, digest, None, body, is_live).stored())
        for key, seq, at_us, digest, body, is_live in zip(keys, seqs, times, digests, packed, live, strict=True)
    ]
    items.sort()
    with transaction.txn.cursor(db=log.store.db("ids")) as cursor:
        cursor.putmulti(items)


def append_outcomes(log: Log, table: pa.Table) -> Appended:
    """Append outcomes; see `Log.append_outcomes`."""
    label = log.schema.label
    if label is None:
        raise ContractError("append_outcomes: this log has no label; declare one in the system")
    filled = {"_seq": 0, "_event_seq": 0, "_live": False}
    outcomes = conform(table, arrow_schema(log.schema, "outcomes"), filled)
    _refuse_missing(outcomes, "_id", "_known_at")
    result = Appended()
    for start in range(0, outcomes.num_rows, SLICE_ROWS):
        with log.store.alone() as transaction:
            done = _outcomes(log, transaction, outcomes.slice(start, SLICE_ROWS), label, start)
        log.strings.remember(transaction.strings)
        result = _sum(result, done)
    return result


def _outcomes(log: Log, transaction: Transaction, outcomes: pa.Table, label: str, start: int) -> Appended:
    keys = [id_key(id) for id in outcomes.column("_id").to_pylist()]
    events = {key: bytes(data) for key, data in _held(log, transaction, "ids", keys)}
    latest = {key: bytes(data) for key, data in _held(log, transaction, "latest", keys)}
    changed: dict[bytes, bytes] = {}
    values, knowns = python_values(outcomes.column(label)), python_values(outcomes.column("_known_at"))
    fresh, event_seqs, known_us, unknown, duplicates = [], [], [], [], 0
    for row, (key, value) in enumerate(zip(keys, values, strict=True)):
        if value is None or is_nan(value):
            continue
        event = events.get(key)
        packed = pack(value)
        if event is None:
            unknown.append(start + row)
        elif latest.get(key) == packed:
            duplicates += 1
        else:
            latest[key] = changed[key] = packed
            fresh.append(row)
            seq, at_us = place_of(event)
            event_seqs.append(seq)
            known_us.append(max(knowns[row], at_us + 1))
    if fresh:
        outcomes = outcomes.take(pa.array(fresh))
        outcomes = _with(outcomes, "_event_seq", event_seqs)
        outcomes = _with(outcomes, "_known_at", known_us)
        outcomes = _numbered(log, transaction, "outcomes", outcomes)
        with transaction.txn.cursor(db=log.store.db("latest")) as cursor:
            cursor.putmulti(sorted(changed.items()))
        if log.history.grows(transaction):
            of_events = _events_of(log, [identity_of(events[keys[row]]) for row in fresh])
            matrix = matrix_of(log.schema.contract, log.strings, of_events)
            labels = numbers_of(log.strings, label, outcomes.column(label))
            log.history.add_outcomes(transaction, outcomes, of_events, np.column_stack([matrix, labels]))
            log.history.flush(transaction)
    return Appended(added=len(fresh), duplicates=duplicates, unknown=len(unknown), unknown_rows=tuple(unknown))


def _events_of(log: Log, identities: list[Identity]) -> pa.Table:
    """The events of these ids, as the log's columns (`_seq` and the contract's fields)."""
    schema = arrow_schema(log.schema, "events")
    columns = list(zip(*(identity.values() for identity in identities), strict=True))
    arrays = {"_seq": pa.array([identity.seq for identity in identities], pa.int64())}
    for name, column in zip(log.schema.contract.names, columns, strict=True):
        arrays[name] = pa.array(column, schema.field(name).type)
    return pa.table(arrays)


def _numbered(log: Log, transaction: Transaction, name: TableName, rows: pa.Table) -> pa.Table:
    """Give the rows their sequence numbers and put them into the buffer as one batch."""
    counted = counters(log.store, transaction.txn)
    first = counted.take(name, rows.num_rows)
    counted.save(log.store, transaction.txn)
    rows = _with(rows, "_seq", range(first, counted.head + 1))
    data = buffer.batch(name, counted.head, to_ipc(rows))
    transaction.txn.put(seq_key(first), data, db=log.store.db("buffer"), append=True)
    return rows


def _held(log: Log, transaction: Transaction, name: str, keys: list[bytes]) -> list[tuple[bytes, Any]]:
    """What a database holds under these keys; keys without a value are left out."""
    with transaction.txn.cursor(db=log.store.db(name)) as cursor:
        return [(bytes(key), data) for key, data in cursor.getmulti(sorted(set(keys)))]


def _with(table: pa.Table, name: str, values: Any) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))


def _refuse_missing(table: pa.Table, *names: str) -> None:
    for name in names:
        if table.column(name).null_count:
            raise DataError(f"column {name!r} has {table.column(name).null_count} missing values; every row needs one")


def _sum(left: Appended, right: Appended) -> Appended:
    return Appended(**{name: getattr(left, name) + getattr(right, name) for name in Appended.__struct_fields__})
