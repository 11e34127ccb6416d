"""The data plane over HTTP: a raw ASGI application. Decodes, batches what is in flight, encodes; decides nothing.

Requests that arrive together are worked off together: each puts its job in the batch and waits, and the batch runs once
the event loop has read everything that was there. That is what makes one durable commit serve many requests.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec

from modelwright.core.clock import iso
from modelwright.core.errors import ContractError, NoRoomError, WorkspaceError
from modelwright.serving.dialect import Dialect, Headers, Request, Response
from modelwright.serving.events import Event
from modelwright.serving.exposition import Latency, exposition
from modelwright.serving.guide import guide
from modelwright.serving.keys import Access
from modelwright.serving.limits import LIMITS, OPEN_FILES, RETRY_S, Limits
from modelwright.serving.openapi import openapi
from modelwright.serving.plane import Operation, Plane
from modelwright.serving.problems import HttpError, Problem, contract_error, problem_of
from modelwright.serving.request_log import RequestLog

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answered = Callable[[Response], None]
REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
           408: b"Request Timeout", 409: b"Conflict", 413: b"Content Too Large", 422: b"Unprocessable Content",
           429: b"Too Many Requests", 500: b"Internal Server Error", 503: b"Service Unavailable"}  # fmt: skip
Page = tuple[bytes, Callable[[], bytes]]
"""A content type and what makes the page."""

BODY_LIMIT = 8 << 20
"""Bytes of a request's body."""
DROP_LIMIT = 256 << 20
"""Bytes of a body too large that are read and dropped before its connection is closed on it."""
ROWS_LIMIT = 10_000
"""Entries of one request."""
_WHY = {401: "key", 403: "scope", 429: "rate"}
TELL_S = 60.0
"""How often the same trouble with the log is told."""
JSON: Headers = ((b"content-type", b"application/json"),)
PROBLEM: Headers = ((b"content-type", b"application/problem+json"),)


def wire(response: Response, *, keep_alive: bool) -> bytes:
    """An answer as it is sent."""
    status, headers, payload = response
    lines = [b"HTTP/1.1 %d %s" % (status, REASONS.get(status, b"Error"))]
    lines += [b"%s: %s" % header for header in headers]
    lines.append(b"content-length: %d" % len(payload))
    if not keep_alive:
        lines.append(b"connection: close")
    return b"\r\n".join([*lines, b"", payload])


class _Posted(NamedTuple):
    """A POST route: the kind of its jobs, its decoders, and what makes an entry of a decoded body."""

    kind: str
    one: msgspec.json.Decoder[Any]
    many: msgspec.json.Decoder[Any]
    take: Callable[[Any], Any]


Done = Callable[[Any], None]
"""Told what became of a job: its answers, or the error."""


class _Waiting(msgspec.Struct, gc=False):
    """A request in a batch: its route, when its body was there, whether it asked with a list, and who is told."""

    path: str
    began: float
    many: bool
    answered: Answered


def _posted(operation: Operation) -> _Posted:
    one, many = msgspec.json.Decoder(operation.body), msgspec.json.Decoder(list[operation.body])  # type: ignore[name-defined]  # a type made at run time
    return _Posted(operation.kind, one, many, operation.take)


class HttpApp:
    """The ASGI application of one worker. `pages` are further GET routes (the console), `dialects` further protocols, given
    by whoever wires it."""

    def __init__(
        self,
        plane: Plane,
        name: str,
        pages: dict[str, Page] | None = None,
        notes: list[str] | None = None,
        dialects: Sequence[Dialect] = (),
        *,
        limits: Limits = LIMITS,
        most_connections: int = OPEN_FILES,
        access: Access | None = None,
        request_log: RequestLog | None = None,
    ) -> None:
        self.limits = limits
        self.most_connections = most_connections
        self.access = access or Access()
        self.request_log = request_log
        self._plane = plane
        self._name = name
        self._notes = notes or []
        self._post = {f"/{name}": _posted(operation) for name, operation in plane.operations.items()}
        self._encode = msgspec.json.Encoder().encode
        self._batch: list[tuple[tuple[str, list[Any]], Done]] = []
        self._told = ("", 0.0)
        self._latency = Latency()
        self._responses: dict[tuple[str, int], int] = {}
        self._refused: dict[str, int] = {}
        self._entered = 0
        self._dialects = dialects
        further = {path: methods for dialect in dialects for path, methods in dialect.described.items()}
        told, logged = plane.label.ahead is None, plane.events() is not None
        self._get: dict[str, Callable[[], tuple[int, bytes, bytes]]] = {
            "/healthz": lambda: (200, b"application/json", b'{"alive":true}'),
            "/readyz": self._ready,
            "/metrics": lambda: (
                200,
                b"text/plain; version=0.0.4",
                exposition(plane, self._latency, self._responses, self._refused, self._entered).encode(),
            ),
            "/openapi.json": lambda: (
                200,
                b"application/json",
                self._encode(openapi(name, plane.contract, plane.others, further, told=told, logged=logged)),
            ),
        }
        described = guide(name, plane.contract, plane.label, plane.others, further, logged=logged)
        self._get["/docs"] = lambda: (200, b"text/html; charset=utf-8", described)
        for path, (kind, page) in (pages or {}).items():
            self._get[path] = lambda kind=kind, page=page: (200, kind, page())  # type: ignore[misc]  # bound per route
        for dialect in dialects:  # a platform may give a path of ours to its own protocol
            for path in [path for path in (*self._post, *self._get) if dialect.route(path)]:
                self._post.pop(path, None)
                self._get.pop(path, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        traced = self.request_log.begin(scope["headers"]) if self.request_log is not None else None
        entered, key = False, ""
        try:
            key = self.enter(path, scope["headers"], full=scope["method"] == "POST")
            entered = True
            if path in self._post and scope["method"] == "POST":
                body = await read_body(scope, receive)
                answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
                self.submit(path, body, lambda said: None if answer.cancelled() else answer.set_result(said))
                status, headers, payload = await answer
            elif path in self._get and scope["method"] in ("GET", "HEAD"):
                status, content_type, payload = self._get[path]()
                headers = ((b"content-type", content_type),)
                self._count(path, status)
            elif (dialect := next((one for one in self._dialects if one.route(path)), None)) is not None:
                status, headers, payload = await self._spoken(dialect, scope, receive)
            else:
                raise self._refuse(path, scope["method"])
        except Exception as error:
            status, headers, payload = self._problem(error)
            if not entered and any(name == b"expect" for name, _ in scope["headers"]):
                headers = (*headers, (b"connection", b"close"))  # whether the body still comes cannot be known
            self._count(path if path in self._post or path in self._get else "other", status)
        finally:
            if entered:
                self.leave()
        if self.request_log is not None and traced is not None:
            headers = (*headers, self.request_log.end(traced, scope["method"], path, status, key))
        length = (b"content-length", b"%d" % len(payload))
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else payload})

    def enter(self, path: str, headers: Iterable[tuple[bytes, bytes]], *, full: bool = True) -> str:
        """A request has begun, and will `leave`; the name of its key.

        Raises `HttpError`: 503 where it has to wait and there are enough that do, 401, 403 or 429 as its key is.
        """
        if full and self._entered >= self.limits.waiting:
            busy = HttpError(
                503, "too many requests are waiting; try again later", ((b"retry-after", b"%d" % RETRY_S),)
            )
            raise self.refused("waiting", busy)
        key = ""
        if self.access.closed:
            try:
                key = self.access.admit(path, headers)
            except HttpError as error:
                raise self.refused(_WHY[error.status], error) from None
        self._entered += 1
        return key

    def leave(self) -> None:
        """A request that entered is answered, or its client is gone."""
        self._entered -= 1

    def refused(self, why: str, error: HttpError) -> HttpError:
        """The error, counted."""
        self._refused[why] = self._refused.get(why, 0) + 1
        return error

    def fail(self, path: str, error: Exception) -> Response:
        """The answer to a request that is not worked off."""
        response = self._problem(error)
        self._count(path, response[0])
        return response

    def last_words(self, error: HttpError) -> bytes:
        """A whole answer, for a connection that is closed on it."""
        status, headers, payload = self.fail("other", error)
        if self.request_log is not None:
            headers = (*headers, self.request_log.end(self.request_log.begin(()), "", "", status, ""))
        return wire((status, headers, payload), keep_alive=False)

    async def _spoken(self, dialect: Dialect, scope: Scope, receive: Receive) -> Response:
        """One request of another protocol, answered as that protocol answers."""
        path, method = scope["path"], scope["method"]
        route, began = dialect.route(path) or "other", time.perf_counter()
        try:
            body = await read_body(scope, receive) if method not in ("GET", "HEAD") else b""
            began = time.perf_counter()
            response = await dialect.answer(Request(method, path, dict(scope["headers"]), body), self._predict)
        except Exception as error:
            problem, extra = self._told_problem(error)
            headers, payload = dialect.refusal(problem)
            response = problem.status, (*headers, *extra), payload
        self._count(route, response[0])
        self._latency.observe(route, time.perf_counter() - began)
        return response

    async def _predict(self, events: list[Event]) -> list[msgspec.Raw]:
        """The answers to events, worked off with whatever else is in flight; raises what went wrong."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._enter(("predict", events), lambda result: None if answer.cancelled() else answer.set_result(result))
        result = await answer
        if isinstance(result, Exception):
            raise result
        return cast(list[msgspec.Raw], result)

    def takes(self, path: str) -> bool:
        """Whether `submit` works off what is posted to a path."""
        return path in self._post

    def submit(self, path: str, body: bytes, answered: Answered) -> None:
        """Work off what was posted to a path; `answered` is called once with the response, now or in a later turn."""
        began = time.perf_counter()
        posted = self._post[path]
        try:
            entries, many = self._decode(posted, body)
        except Exception as error:
            self._finish(_Waiting(path, began, False, answered), error)
            return
        self._enter((posted.kind, entries), partial(self._finish, _Waiting(path, began, many, answered)))

    def _enter(self, job: tuple[str, list[Any]], done: Done) -> None:
        if not self._batch:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._gather, loop, 0)
        self._batch.append((job, done))

    def _finish(self, waiting: "_Waiting", result: Any) -> None:
        if isinstance(result, Exception):
            response = self._problem(result)
        else:
            response = 200, JSON, self._encode(result if waiting.many else result[0])
        self._count(waiting.path, response[0])
        self._latency.observe(waiting.path, time.perf_counter() - waiting.began)
        waiting.answered(response)

    def _problem(self, error: Exception) -> "Response":
        problem, extra = self._told_problem(error)
        return problem.status, (*PROBLEM, *extra), self._encode(problem)

    def _told_problem(self, error: Exception) -> tuple[Problem, Headers]:
        """What the client is told and the headers with it; what it is not told goes to standard error."""
        problem = problem_of(error)
        if problem.status == 500:
            traceback.print_exception(error, file=sys.stderr)
        elif isinstance(error, WorkspaceError):
            self._tell(str(error))
        return problem, error.headers if isinstance(error, HttpError) else ()

    def _count(self, route: str, status: int) -> None:
        self._responses[route, status] = self._responses.get((route, status), 0) + 1

    def _tell(self, message: str) -> None:
        """On standard error, what went wrong with the log: once a minute, not with every request."""
        now = time.monotonic()
        if message != self._told[0] or now - self._told[1] >= TELL_S:
            self._told = (message, now)
            sys.stderr.write(f"modelwright: {message}\n")
            sys.stderr.flush()

    def _refuse(self, path: str, method: str) -> HttpError:
        if path in self._post or path in self._get:
            allowed = b"POST" if path in self._post else b"GET, HEAD"
            return HttpError(405, f"{path} takes {allowed.decode()}, not {method}", ((b"allow", allowed),))
        return HttpError(404, f"no route {path}; see /openapi.json")

    def _decode(self, posted: "_Posted", body: bytes) -> tuple[list[Any], bool]:
        many = body.lstrip()[:1] == b"["
        try:
            decoded = (posted.many if many else posted.one).decode(body)
        except msgspec.ValidationError as error:
            raise contract_error(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(400, f"the body is not JSON: {error}") from None
        entries = decoded if many else [decoded]
        if len(entries) > ROWS_LIMIT:
            raise HttpError(413, f"{len(entries)} entries; at most {ROWS_LIMIT} in one request")
        if not entries:
            raise ContractError("the list is empty; send at least one entry")
        taken = []
        for place, entry in enumerate(entries):
            try:
                taken.append(posted.take(entry))
            except ContractError as error:
                raise (ContractError(f"{error} (entry {place})", error.field) if many else error) from None
        return taken, many

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """Work the batch off once a whole turn of the loop has brought nothing more: fewer commits, each for more."""
        if len(self._batch) > seen:
            loop.call_soon(self._gather, loop, len(self._batch))
        else:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        results = self._worked([job for job, _ in batch])
        for (_, done), result in zip(batch, results, strict=True):
            done(result)
        if self._plane.shadow_waiting:
            asyncio.get_running_loop().call_later(0.002, self._score_shadow)

    def _worked(self, jobs: list[tuple[str, list[Any]]]) -> list[Any]:
        try:
            return self._plane.work(jobs)
        except NoRoomError as error:
            if len(jobs) == 1:
                return [error]
            # Each by itself: what is stored is answered though there is no room for what is new.
            return [result for job in jobs for result in self._worked([job])]
        except Exception as error:  # every request of the batch is told
            return [error] * len(jobs)

    def _score_shadow(self) -> None:
        if self._batch:  # the next batch brings them along
            return
        try:
            self._plane.score_shadow()
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)

    def _ready(self) -> tuple[int, bytes, bytes]:
        plane = self._plane
        champion = plane.champion
        answer = {
            "ready": champion is not None,
            "system": self._name,
            "release": champion.name if champion else None,
            "challenger": plane.challenger.name if plane.challenger else None,
            "trained_until": iso(champion.release.manifest.trained_until_us) if champion else None,
            "events": plane.events(),
            "notes": self._notes if champion else ["no release is live yet", *self._notes],
        }
        return (200 if champion else 503), b"application/json", self._encode(answer)


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body; HttpError 413 where it is too large, 400 where it ends early.

    A body that is too large is dropped as it comes, up to its end or `DROP_LIMIT`: a client that is still sending does
    not read the answer. One that asks first (`Expect: 100-continue`) is told at once.
    """
    too_large = HttpError(
        413,
        f"the body is larger than {BODY_LIMIT >> 20} MiB; send fewer entries at a time",
        ((b"connection", b"close"),),
    )
    headers = dict(scope["headers"])
    announced = headers.get(b"content-length", b"")
    refused = announced.isdigit() and int(announced) > BODY_LIMIT
    if refused and b"expect" in headers:
        raise too_large
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpError(400, "the body ended early")
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if refused or size > BODY_LIMIT:
            refused = True
            parts.clear()
        else:
            parts.append(part)
        if size > DROP_LIMIT:
            break
    if refused:
        raise too_large
    return b"".join(parts)
