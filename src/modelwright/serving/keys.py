"""API keys: who may ask a server for what, and how often. Made by `modelwright key`, read by the servers of a workspace.

A key is 256 random bits and shown once. Its SHA-256 is what is stored: slow hashes protect what people choose, and nobody
finds 256 random bits by trying. A server looks a key up by that hash, so it holds no key either, and how long the
look-up takes says nothing of one.
"""

import base64
import binascii
import hashlib
import hmac
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from modelwright.core.clock import iso
from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.serving.allowance import Allow, Bucket, of_this_process
from modelwright.serving.problems import HttpError

KeyScope = Literal["predict", "ingest", "admin"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
PREFIX = "mw_"
UNIT_S: dict[str, Any] = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

OPEN = frozenset({
    "/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready",
    "/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady",
    "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
})  # fmt: skip
"""What needs no key: probes have none."""
NEEDS: dict[str, KeyScope | None] = {
    "/predict": "predict", "/explain": "predict", "/invocations": "predict", "/score": "predict", "/v2": "predict",
    "/events": "ingest", "/outcomes": "ingest",
    "/openapi.json": None, "/docs": None, "/version": None,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": None,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": None,
}  # fmt: skip
"""The scope of a path; None where any key will do."""
ROOTS: dict[str, KeyScope] = {"/v2/": "predict", "/inference.GRPCInferenceService/": "predict", "/events/": "ingest"}
"""The scope of everything below a path."""


class Rate(msgspec.Struct, frozen=True):
    """So many requests in a unit of time, and as many at once."""

    count: Annotated[int, msgspec.Meta(ge=1)]
    unit_s: Literal[1, 60, 3600, 86_400]

    def __str__(self) -> str:
        return f"{self.count}/{next(unit for unit, s in UNIT_S.items() if s == self.unit_s)}"


def rate_of(text: str) -> Rate:
    """A rate as it is written; UsageError for anything else.

    >>> rate_of("100/s"), str(rate_of("5/m"))
    (Rate(count=100, unit_s=1), '5/m')
    """
    found = re.fullmatch(r"([1-9][0-9]{0,8})/([smhd])", text)
    if found is None:
        raise UsageError(f"{text} is no rate: give a number and a unit of time, such as 100/s, 500/m, 1000/h or 5000/d")
    return Rate(int(found[1]), UNIT_S[found[2]])


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key, as it is stored. `revoked_us` is 0 while it is good."""

    name: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[KeyScope, ...]
    created_us: int
    rate: Rate | None = None
    revoked_us: int = 0


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1] = 1
    keys: list[Key] = []


def digest_of(key: str | bytes) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).hexdigest()


class KeyFile:
    """The keys of a workspace: one file that its owner alone can read. Whoever changes it holds the workspace's `keys` role."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Key]:
        """All keys, revoked ones too; none where there is no file. WorkspaceError where it cannot be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_File).keys
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WorkspaceError(
                f"{self.path}: the API keys cannot be read ({error}); restore the file, or delete it and make new keys"
            ) from None

    def create(self, name: str, scopes: Iterable[str], rate: Rate | None, now_us: int) -> str:
        """Make a key; it is returned here and found nowhere again. UsageError where the name is taken or is none."""
        keys = self.read()
        if NAME.fullmatch(name) is None:
            raise UsageError(
                f"--name {name!r} is no name: give letters, digits, dots, dashes and underscores, at most 63"
            )
        if any(key.name == name for key in keys):
            raise UsageError(f"{self.path} holds a key named {name} already; give another --name")
        made = PREFIX + secrets.token_urlsafe(32)
        ordered = tuple(scope for scope in SCOPES if scope in set(scopes))
        keys.append(Key(name=name, sha256=digest_of(made), scopes=ordered, created_us=now_us, rate=rate))
        self._write(keys)
        return made

    def revoke(self, name: str, now_us: int) -> list[Key]:
        """Make a key good for nothing, for ever; the keys that are left. It stays in the file, so that the last one gone
        does not open the server to everybody."""
        keys = self.read()
        found = next((key for key in keys if key.name == name), None)
        if found is None:
            names = ", ".join(key.name for key in keys) or "none"
            raise UsageError(f"{self.path} holds no key named {name}; there are: {names}")
        if found.revoked_us:
            raise UsageError(f"the key {name} was revoked at {iso(found.revoked_us)}")
        keys = [msgspec.structs.replace(key, revoked_us=now_us) if key is found else key for key in keys]
        self._write(keys)
        return [key for key in keys if not key.revoked_us]

    def _write(self, keys: list[Key]) -> None:
        """All of it beside the old file, then in its place."""
        fresh = self.path.with_suffix(".new")
        try:
            fresh.unlink(missing_ok=True)
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(_File(keys=keys)), indent=1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # a key that is said to be revoked is
            finally:
                os.close(folder)
        except OSError as error:
            raise WorkspaceError(
                f"{self.path}: the API keys cannot be written ({error.strerror}); nothing changed"
            ) from None


class _Known(msgspec.Struct, gc=False):
    key: Key
    digest: bytes
    bucket: Bucket | None


def scope_of(path: str) -> KeyScope | None:
    """The scope a path needs; None where any key will do. A path that nobody has thought of needs `admin`.

    >>> scope_of("/predict"), scope_of("/events/Login"), scope_of("/docs"), scope_of("/metrics")
    ('predict', 'ingest', None, 'admin')
    """
    if path in NEEDS:
        return NEEDS[path]
    return next((scope for root, scope in ROOTS.items() if path.startswith(root)), "admin")


class Access:
    """Who may ask one server's process for what. Rates count as `allow` has them: by itself, or together with others.

    `own` is the hash of a key that is in no file: that of whoever started the server, and needed only where there are others.
    """

    def __init__(
        self,
        file: KeyFile | None = None,
        own: str = "",
        now: Callable[[], float] = time.monotonic,
        allow: Allow = of_this_process,
    ) -> None:
        self._file = file
        self._own = own
        self._now = now
        self._allow = allow
        self._known: dict[bytes, _Known] = {}
        self._seen: tuple[int, ...] | None = None
        self.closed = False
        """Whether a key is needed: from the first one made on, as long as the process lives."""
        if file is not None:
            self._seen = self._state()
            self._take(file.read())

    @property
    def place(self) -> str:
        """The folder of its keys, for people."""
        return str(self._file.path.parent) if self._file is not None else ""

    def look(self) -> None:
        """Read the file again where it has changed. One that is gone or cannot be read changes nothing, and is told once."""
        state = self._state()
        if self._file is None or state == self._seen:
            return
        self._seen = state
        try:
            if state is None:
                raise WorkspaceError(
                    f"{self._file.path} is gone; the keys it held are good until the server is started again"
                )
            self._take(self._file.read())
        except WorkspaceError as error:
            print(f"modelwright: {error}", file=sys.stderr, flush=True)  # noqa: T201 - a server's own message

    def admit(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The name of the key a request comes with; empty where it needs none.

        Raises `HttpError` 401 without a good key, 403 where its scopes do not hold the path, 429 beyond its rate.
        """
        if not self.closed or path in OPEN:
            return ""
        presented = _presented(headers)
        digest = hashlib.sha256(presented).digest()
        known = self._known.get(digest)
        if known is None or not hmac.compare_digest(known.digest, digest):
            raise _unknown(presented)
        key = known.key
        needed = scope_of(path)
        if needed is not None and needed not in key.scopes:
            raise HttpError(403, f"the key {key.name} is for {' and '.join(key.scopes)}; {path} needs one for {needed}")
        if known.bucket is not None:
            wait_s = known.bucket.take(self._now())
            if wait_s:
                again = ((b"retry-after", b"%d" % math.ceil(wait_s)),)
                raise HttpError(429, f"the key {key.name} may ask {key.rate}; try again later", again)
        return key.name

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = self._file.path.stat() if self._file is not None else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size) if found is not None else None

    def _take(self, keys: list[Key]) -> None:
        self.closed = self.closed or bool(keys)
        before = self._known
        known = {}
        for key in keys:
            digest = bytes.fromhex(key.sha256)
            if key.revoked_us:
                continue
            old = before.get(digest)
            kept = old.bucket if old is not None and old.key.rate == key.rate else None
            if kept is None and key.rate is not None:
                kept = self._allow(key.sha256, key.rate.count, key.rate.unit_s)
            known[digest] = _Known(key, digest, kept)
        if self._own:
            own = Key(name="modelwright", sha256=self._own, scopes=SCOPES, created_us=0)
            known[bytes.fromhex(self._own)] = _Known(own, bytes.fromhex(self._own), None)
        self._known = known


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The key of a request, from `Authorization: Bearer`, `X-Api-Key`, or as the password a browser has asked for."""
    for name, value in headers:
        if name == b"authorization":
            kind, _, said = value.partition(b" ")
            if kind.lower() == b"bearer":
                return said.strip()
            if kind.lower() == b"basic":
                try:
                    return base64.b64decode(said, validate=True).partition(b":")[2]
                except binascii.Error:
                    return b""
        elif name == b"x-api-key":
            return value.strip()
    return b""


def _unknown(presented: bytes) -> HttpError:
    said = "this key is not known here, or was revoked" if presented else "a key is needed"
    return HttpError(
        401,
        f"{said}; send `Authorization: Bearer mw_...`, or `X-Api-Key: mw_...`",
        # A browser asks for a password where it may send one: the console's pages are for people.
        ((b"www-authenticate", b'Bearer realm="modelwright"'), (b"www-authenticate", b'Basic realm="modelwright"')),
    )
