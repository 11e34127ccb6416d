"""What a log was written under, and whether what is declared now may go on with it.

The schema is stored beside the rows when the log begins. Fields, their kinds and order, the id, the time and, once there are
answers or outcomes, the label stay as they were; other events may be added. It reads and writes no rows.
"""

import os
from typing import Any

import msgspec

from modelwright.core.errors import WorkspaceError
from modelwright.lake.counters import counters
from modelwright.lake.rows import LogSchema, pack
from modelwright.lake.store import Store
from modelwright.lake.workspace import Workspace
from modelwright.spec.contract import Contract

FORMAT = 1
_SCHEMA = b"schema"
_START_OVER = "point MODELWRIGHT_HOME at a new folder and ingest again, or change the declaration back"


class _Stored(msgspec.Struct, frozen=True):
    format: int
    schema: LogSchema


def agreed(workspace: Workspace, store: Store, declared: LogSchema, *, readonly: bool) -> LogSchema:
    """The schema the log goes on with, stored where it is new. Other events that the log holds rows of stay in it.

    Raises `WorkspaceError`, naming what changed, where the log is of another declaration, and where it cannot be read.
    """
    with store.read() as txn:
        data = txn.get(_SCHEMA, db=store.db("meta"))
        stored = None if data is None else _decode(store, bytes(data))
    if stored is not None and stored == _joined(stored, declared):
        return stored
    return _agree(workspace, store, declared, readonly=readonly)


def _agree(workspace: Workspace, store: Store, schema: LogSchema, *, readonly: bool) -> LogSchema:
    with store.joined() as transaction:
        data = transaction.txn.get(_SCHEMA, db=store.db("meta"))
        if data is not None:
            stored = _decode(store, data)
            held = counters(store, transaction.txn)
            _refuse_change(store, stored, schema, labelled=held.predictions + held.outcomes > 0)
            schema = _joined(stored, schema)
            if len(schema.others) > len(stored.others) and not readonly:
                _refuse_beside_a_run(workspace, schema.others[-1])
        if not readonly:
            transaction.txn.put(_SCHEMA, pack(_Stored(FORMAT, schema)), db=store.db("meta"))
    return schema


def _decode(store: Store, data: Any) -> LogSchema:
    try:
        stored = msgspec.msgpack.decode(data, type=_Stored)
    except msgspec.DecodeError as error:
        raise WorkspaceError(f"{store.path}: the log's schema is not readable ({error}); {_START_OVER}") from None
    if stored.format != FORMAT:
        raise WorkspaceError(
            f"{store.path}: the log has format {stored.format}, this version of modelwright writes {FORMAT}; use the "
            "version that wrote it"
        )
    return stored.schema


def _joined(stored: LogSchema, declared: LogSchema) -> LogSchema:
    """What is declared, with what the log holds besides: its label and its other events, in the order they came."""
    if declared.label is None:
        declared = msgspec.structs.replace(declared, label=stored.label, label_kind=stored.label_kind)
    others = {contract.name: contract for contract in (*stored.others, *declared.others)}
    return msgspec.structs.replace(declared, others=tuple(others.values()))


def _refuse_beside_a_run(workspace: Workspace, added: Contract) -> None:
    """A running system that does not know an event could not drain its rows."""
    holder = workspace.holder("run")
    if holder not in (None, os.getpid()):
        raise WorkspaceError(
            f"{workspace.root}: {added.name} is new to this log, and the system that runs on it (process {holder}) was "
            "started without it; start that one again with the new declaration first"
        )


def _refuse_change(store: Store, stored: LogSchema, schema: LogSchema, *, labelled: bool) -> None:
    """Raise where rows written under one schema would mean something else under the other."""
    change = _changed(stored.contract, schema.contract)
    known = {contract.name: contract for contract in stored.others}
    for contract in schema.others:
        if change is None and contract.name in known:
            change = _changed(known[contract.name], contract)
    if change is None and labelled and schema.label is not None:
        was, now = (stored.label, stored.label_kind), (schema.label, schema.label_kind)
        if was != now:
            change = f"the label was {was[0]} ({was[1]}) and is {now[0]} ({now[1]})"
    if change:
        raise WorkspaceError(f"{store.path}: the log was written under another declaration: {change}; {_START_OVER}")


def _changed(old: Contract, new: Contract) -> str | None:
    for name in dict.fromkeys((*old.names, *new.names)):
        if name not in new.names:
            return f"{new.name} has no field {name!r} any more"
        if name not in old.names:
            return f"{new.name}.{name} is new"
        if old.field(name).kind != new.field(name).kind:
            return f"{new.name}.{name} was {old.field(name).kind} and is {new.field(name).kind}"
    if old.names != new.names:
        return f"the fields of {new.name} were in the order {', '.join(old.names)}"
    if (old.id, old.time) != (new.id, new.time):
        return f"{new.name} had id={old.id!r}, time={old.time!r} and has id={new.id!r}, time={new.time!r}"
    return None
