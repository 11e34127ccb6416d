"""The journal: every decision, hash-chained, and the pointer that says which release is live.

A decision's row and the pointer it moves are one transaction, and authoritative; whatever else shows decisions is a
mirror of it. The hash covers what was decided and on which figures, not `observed` (timings, machine facts), so that
two rehearsals of one history give one hash. This file decides nothing.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import msgspec

from modelwright.core.canonical import canonical_json, sha256_hex
from modelwright.core.clock import iso
from modelwright.core.errors import ConflictError, UsageError, WorkspaceError
from modelwright.lake.rows import pack
from modelwright.lake.store import Store, seq_key, text_key

JournalKind = Literal[
    "trained", "gated", "registered", "shadow_started", "canary", "promoted", "rejected", "rolled_back", "trigger",
    "alert", "parity", "paused", "resumed", "error",
]  # fmt: skip
KINDS = frozenset(get_args(JournalKind))
NO_HASH = "0" * 64
"""The `prev_hash` of the first row."""

_POINTER = b"pointer"
_HEAD = b"journal"
_PAGE = 1_000


class Pointer(msgspec.Struct, frozen=True):
    """What is live: the releases by name, the phase of the rollout, and since when. `generation` rises at each move.

    `paused` by a person: nothing is trained or promoted, what fails is still taken out of service. `share` of the requests
    are answered by the challenger, who is in it `rollout` tells with the request's key. `began_us`: when the challenger's
    comparison began, where its outcome is to be watched; until `watch_until_us` the release before the champion scores beside it.
    """

    champion: str | None = None
    challenger: str | None = None
    previous: str | None = None
    phase: str = "idle"
    share: float = 0.0
    rollout: str | None = None
    since_us: int = 0
    generation: int = 0
    paused: bool = False
    began_us: int = 0
    watch_until_us: int = 0


class JournalRow(msgspec.Struct, frozen=True):
    """One decision. `at` is RFC 3339 text; `evidence` the figures that made it; `observed` stands outside the hash."""

    seq: int
    at: str
    kind: JournalKind
    release: str | None
    summary: str
    evidence: dict[str, Any]
    observed: dict[str, Any]
    prev_hash: str
    hash: str

    def expected_hash(self) -> str:
        """SHA-256 of the canonical JSON of the row without `observed` and `hash`."""
        body = {name: getattr(self, name) for name in self.__struct_fields__ if name not in ("observed", "hash")}
        return sha256_hex(canonical_json(body))


class _Head(msgspec.Struct, frozen=True, array_like=True):
    seq: int = 0
    hash: str = NO_HASH


_decode_row = msgspec.msgpack.Decoder(JournalRow).decode
_decode_pointer = msgspec.msgpack.Decoder(Pointer).decode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


class Journal:
    """The decisions of one log. State: the last pointer read, kept while its bytes do not change."""

    def __init__(self, store: Store, *, readonly: bool) -> None:
        self._store = store
        self._readonly = readonly
        self._pointer = (b"", Pointer())

    def append(
        self,
        kind: JournalKind,
        at_us: int,
        *,
        release: str | None = None,
        summary: str,
        evidence: Mapping[str, Any] | None = None,
        observed: Mapping[str, Any] | None = None,
        point: Pointer | None = None,
        expect: int | None = None,
    ) -> JournalRow:
        """Write one decision, and move the pointer with it where `point` is given (its generation is set here).

        `expect` is the generation of the pointer that the decision rests on: where another decision has moved it
        meanwhile nothing is written and `ConflictError` is raised.

        Durable on return, or with the write transaction that this thread has open. `at_us` is in microseconds since
        the epoch. Raises `UsageError` for a kind that is not in the list, and for evidence that is not plain JSON.
        """
        if kind not in KINDS:
            raise UsageError(f"journal: {kind!r} is no kind of decision; use one of {', '.join(sorted(KINDS))}")
        self._check_writable()
        figures, facts = (_plain(kind, figure or {}) for figure in (evidence, observed))
        meta = self._store.db("meta")
        with self._store.joined() as transaction:
            txn = transaction.txn
            held = txn.get(_POINTER, db=meta)
            generation = _decode_pointer(held).generation if held else 0
            if expect is not None and expect != generation:
                raise ConflictError(
                    f"journal: {kind!r} rests on a pointer that another decision has moved; decide again"
                )
            stored = txn.get(_HEAD, db=meta)
            head = _Head() if stored is None else _decode_head(stored)
            row = JournalRow(head.seq + 1, iso(at_us), kind, release, summary, figures, facts, head.hash, "")
            row = msgspec.structs.replace(row, hash=row.expected_hash())
            txn.put(seq_key(row.seq), pack(row), db=self._store.db("journal"))
            txn.put(_HEAD, pack(_Head(row.seq, row.hash)), db=meta)
            if point is not None:
                txn.put(_POINTER, pack(msgspec.structs.replace(point, generation=generation + 1)), db=meta)
        return row

    @contextmanager
    def together(self) -> Iterator[None]:
        """Decisions of the block become durable together, or not at all."""
        with self._store.joined():
            yield

    def pointer(self) -> Pointer:
        """What is live, as last committed."""
        with self._store.read() as txn:
            data = txn.get(_POINTER, db=self._store.db("meta"))
            if data is None:
                return Pointer()
            known, pointer = self._pointer
            if known != data:
                known, pointer = bytes(data), _decode_pointer(data)
                self._pointer = (known, pointer)
        return pointer

    def rows(self, after: int = 0) -> Iterator[JournalRow]:
        """Decisions with `seq > after`, in order."""
        while page := self._page(after):
            yield from page
            after = page[-1].seq

    def _page(self, after: int) -> list[JournalRow]:
        page: list[JournalRow] = []
        with self._store.read() as txn, txn.cursor(db=self._store.db("journal")) as cursor:
            more = cursor.set_range(seq_key(after + 1))
            while more and len(page) < _PAGE:
                try:
                    page.append(_decode_row(cursor.value()))
                except msgspec.DecodeError as error:
                    raise WorkspaceError(
                        f"{self._store.path}: the journal's row after {page[-1].seq if page else after} is damaged "
                        f"({error}); restore the folder from a backup"
                    ) from None
                more = cursor.next()
        return page

    def head_hash(self) -> str:
        """The hash of the last decision: it stands for the whole journal."""
        return self._head().hash

    def verify(self) -> None:
        """Recompute the chain. Raises `WorkspaceError` naming the first row that is altered, missing or too many."""
        before = self._head()
        seq, prev_hash = 0, NO_HASH
        for row in self.rows():
            seq += 1
            if row.seq != seq:
                raise self._broken(seq, f"it is missing; row {row.seq} follows row {seq - 1}")
            if row.prev_hash != prev_hash:
                raise self._broken(seq, f"it follows hash {row.prev_hash[:12]}, the row before it has {prev_hash[:12]}")
            if row.hash != row.expected_hash():
                raise self._broken(seq, f"its content gives hash {row.expected_hash()[:12]}, it says {row.hash[:12]}")
            if seq == before.seq and row.hash != before.hash:
                raise self._broken(seq, f"it has hash {row.hash[:12]}, the journal ended in {before.hash[:12]}")
            prev_hash = row.hash
        if seq < before.seq:
            raise self._broken(seq + 1, f"it is missing; the journal had {before.seq} rows")
        # Rows may have been added while these were read, so the end is looked up again.
        if seq > (after := self._head()).seq:
            raise self._broken(after.seq + 1, f"the journal ends in row {after.seq}")

    def _head(self) -> _Head:
        with self._store.read() as txn:
            data = txn.get(_HEAD, db=self._store.db("meta"))
            return _Head() if data is None else _decode_head(data)

    def _broken(self, seq: int, how: str) -> WorkspaceError:
        return WorkspaceError(
            f"{self._store.path}: row {seq} of the journal was altered: {how}; restore the folder from a backup"
        )

    def note(self, key: str, value: bytes) -> None:
        """Keep a small durable note, such as the state of a controller; it replaces the one under that key."""
        self._check_writable()
        with self._store.joined() as transaction:
            transaction.txn.put(text_key(key), value, db=self._store.db("notes"))

    def read_note(self, key: str) -> bytes | None:
        """The note under a key, as last committed; None where there is none."""
        with self._store.read() as txn:
            data = txn.get(text_key(key), db=self._store.db("notes"))
            return None if data is None else bytes(data)

    def _check_writable(self) -> None:
        if self._readonly:
            raise WorkspaceError(f"{self._store.path}: the log is open to read only; open it for writing to decide")


def _plain(kind: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures as they will be read back: plain JSON."""
    try:
        plain: dict[str, Any] = json.loads(canonical_json(dict(figures)))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"journal: the figures of {kind!r} are not plain JSON ({error}); give finite numbers, texts, lists and "
            "dictionaries"
        ) from None
    return plain
