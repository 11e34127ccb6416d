"""The data plane over HTTP: a raw ASGI application. Decodes, hands over what is asked, encodes; decides nothing."""

import asyncio
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import msgspec

from modelwright.core.clock import iso
from modelwright.core.errors import WorkspaceError
from modelwright.serving.batching import AT_ONCE, Batching
from modelwright.serving.body import Receive, Scope, read_body
from modelwright.serving.dialect import Asked, Dialect, Elsewhere, Headers, Request, Response
from modelwright.serving.entries import EntryReader
from modelwright.serving.exposition import exposition, request_seconds
from modelwright.serving.guide import guide
from modelwright.serving.in_flight import Done, InFlight
from modelwright.serving.keys import Access
from modelwright.serving.limits import LIMITS, OPEN_FILES, RETRY_S, Limits, Room
from modelwright.serving.openapi import openapi
from modelwright.serving.plane import Plane
from modelwright.serving.problems import PROBLEM, HttpError, Problem, problem_of
from modelwright.serving.request_log import RequestLog, Traced
from modelwright.serving.siblings import Siblings
from modelwright.serving.wire import wire

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answered = Callable[[Response], None]
Page = tuple[bytes, Callable[[], bytes]]
"""A content type and what makes the page."""

_WHY = {401: "key", 403: "scope", 429: "rate"}
TELL_S = 60.0
"""How often the same trouble with the log is told."""
JSON: Headers = ((b"content-type", b"application/json"),)


class _Waiting(msgspec.Struct, gc=False):
    """A request in a batch: its route, when its body was there, whether it asked with a list, and who is told."""

    path: str
    began: float
    many: bool
    answered: Answered


class HttpApp:
    """The ASGI application of one worker. `pages` are further GET routes (the console), `dialects` further protocols, and
    `aliases` paths that stand for others, `beside` metrics of the whole system and no worker's, given by whoever wires it."""

    def __init__(
        self,
        plane: Plane,
        name: str,
        pages: dict[str, Page] | None = None,
        notes: list[str] | None = None,
        dialects: Sequence[Dialect] = (),
        *,
        aliases: Mapping[str, str] | None = None,
        limits: Limits = LIMITS,
        most_connections: int = OPEN_FILES,
        access: Access | None = None,
        request_log: RequestLog | None = None,
        batching: Batching = AT_ONCE,
        siblings: Siblings | None = None,
        beside: Callable[[], str] = str,
    ) -> None:
        self.limits = limits
        self.room = Room(limits.body_bytes)
        self.most_connections = most_connections
        self.access = access or Access()
        self.request_log = request_log
        self.siblings = siblings
        self._beside = beside
        self.draining = False
        """Whether this server is about to end: it takes what comes, and says that nothing more should."""
        self.root = ""
        """The path that an application of somebody else's has this one below."""
        self.plane = plane
        self.name = name
        self._notes = notes or []
        self._post = {f"/{name}": EntryReader(operation) for name, operation in plane.operations.items()}
        self._encode = msgspec.json.Encoder().encode
        self.in_flight = InFlight(plane, batching)
        self._told = ("", 0.0)
        self._latency = request_seconds()
        self._responses: dict[tuple[str, int], int] = {}
        self._refused: dict[str, int] = {}
        self._entered = 0
        self._dialects = dialects
        self._elsewhere: set[asyncio.Future[Response]] = set()
        self._aliases = aliases or {}
        describe = partial(openapi, name, plane, dialects, self._aliases)
        self._get: dict[str, Callable[[], tuple[int, bytes, bytes]]] = {
            "/healthz": lambda: (200, b"application/json", b'{"alive":true}'),
            "/readyz": self._ready,
            "/metrics": lambda: (
                200,
                b"text/plain; version=0.0.4",
                self._metrics().encode(),
            ),
            "/openapi.json": lambda: (
                200,
                b"application/json",
                self._encode(
                    describe(closed=self.access.closed) | ({"servers": [{"url": self.root}]} if self.root else {})
                ),
            ),
        }
        page_of_routes = guide(name, plane, describe()["paths"])
        self._get["/docs"] = lambda: (200, b"text/html; charset=utf-8", page_of_routes)
        for path, (kind, page) in (pages or {}).items():
            self._get[path] = lambda kind=kind, page=page: (200, kind, page())  # type: ignore[misc]  # bound per route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = self.path_of(scope["path"])
        traced = self.request_log.begin(scope["headers"]) if self.request_log is not None else None
        entered, key = False, ""
        try:
            key = self.enter(path, scope["headers"], full=scope["method"] == "POST")
            entered = True
            if path in self._post and scope["method"] == "POST":
                async with self._body(scope, receive) as body:
                    submit = partial(self.submit, path, scope["headers"], body, traced=traced)
                    status, headers, payload = await self._answered(submit)
            elif path in self._get and scope["method"] in ("GET", "HEAD"):
                status, content_type, payload = self._get[path]()
                headers = ((b"content-type", content_type),)
                self._count(path, status)
            elif (dialect := self._dialect(path)) is not None:
                status, headers, payload = await self._spoken(dialect, scope, receive, traced)
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
            told = self.request_log.end(traced, scope["method"], path, status, key, self._route(path))
            headers = (*headers, told)
        if self.draining:
            headers = (*headers, (b"connection", b"close"))
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

    def no_room(self) -> HttpError:
        """The bodies that are being sent fill the room that there is for them: counted, and told."""
        again = ((b"retry-after", b"%d" % RETRY_S),)
        return self.refused("bodies", HttpError(503, "too much is being sent at a time; try again later", again))

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

    def _route(self, path: str) -> str:
        """The route of a path, empty where it is none."""
        if path in self._post or path in self._get:
            return path
        return next((route for dialect in self._dialects if (route := dialect.route(path))), "")

    async def _spoken(self, dialect: Dialect, scope: Scope, receive: Receive, traced: Traced | None) -> Response:
        """One request of another protocol, answered as that protocol answers."""
        path, method = self.path_of(scope["path"]), scope["method"]
        try:
            async with self._body(scope, receive) as body:
                request = Request(method, path, dict(scope["headers"]), body)
                return await self._answered(partial(self._speak, dialect, request, traced=traced))
        except HttpError as error:
            response = self._refusal(dialect, error)
            self._count(dialect.route(path) or "other", response[0])
            return response

    @asynccontextmanager
    async def _body(self, scope: Scope, receive: Receive) -> AsyncIterator[bytes]:
        """A request's body, for which there is room until the block ends."""
        if scope["method"] in ("GET", "HEAD"):
            yield b""
            return
        body = await read_body(scope, receive, self.room, self.no_room)
        try:
            yield body
        finally:
            self.room.give_back(len(body))

    @staticmethod
    async def _answered(submit: Callable[[Answered], None]) -> Response:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        submit(lambda said: None if answer.cancelled() else answer.set_result(said))
        return await answer

    def path_of(self, path: str) -> str:
        """What a path stands for: a platform may give names of its own to ours, even names that ours have."""
        return self._aliases.get(path, path)

    def _dialect(self, path: str) -> Dialect | None:
        return next((one for one in self._dialects if one.route(path)), None)

    def takes(self, target: str) -> bool:
        """Whether `submit` works off what is posted to a request's target as it was sent."""
        return target in self._post or not ("?" in target or "%" in target or self._dialect(target) is None)

    def submit(
        self,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        answered: Answered,
        traced: Traced | None = None,
    ) -> None:
        """Work off what was posted to a path; `answered` is called once with the response, now or in a later turn."""
        posted = self._post.get(path)
        if posted is None:
            request = Request("POST", path, dict(headers), body)
            self._speak(cast(Dialect, self._dialect(path)), request, answered, traced)
        else:
            self._submit(posted, path, body, answered, traced)

    def _speak(self, dialect: Dialect, request: Request, answered: Answered, traced: Traced | None = None) -> None:
        """Work off one request of another protocol."""
        began, route = time.perf_counter(), dialect.route(request.path) or "other"

        def finish(respond: Callable[[Any], Response], result: Any) -> None:
            try:
                if isinstance(result, Exception):
                    raise result
                response = respond(result)
            except Exception as error:
                response = self._refusal(dialect, error)
            self.observe(route, response[0], began)
            answered(response)

        said: Response | Asked | Elsewhere | Exception
        try:
            said = dialect.begin(request)
        except Exception as error:
            said = error
        if isinstance(said, Asked):
            self.in_flight.work_off(("predict", said.events), partial(finish, said.respond), began, traced)
        elif isinstance(said, Elsewhere):
            task = asyncio.ensure_future(said.answer)
            self._elsewhere.add(task)  # the loop itself keeps only a weak reference
            task.add_done_callback(partial(self._came_back, partial(finish, lambda response: response)))
        else:
            finish(lambda response: response, said)

    def _came_back(self, finish: Done, task: "asyncio.Future[Response]") -> None:
        self._elsewhere.discard(task)
        if not task.cancelled():
            finish(task.exception() or task.result())

    def _refusal(self, dialect: Dialect, error: Exception) -> Response:
        problem, extra = self.told_problem(error)
        headers, payload = dialect.refusal(problem)
        return problem.status, (*headers, *extra), payload

    def _submit(
        self, posted: EntryReader, path: str, body: bytes, answered: Answered, traced: Traced | None = None
    ) -> None:
        began = time.perf_counter()
        try:
            entries, many = posted.decode(body)
        except Exception as error:
            self._finish(_Waiting(path, began, False, answered), error)
            return
        done = partial(self._finish, _Waiting(path, began, many, answered))
        self.in_flight.work_off((posted.kind, entries), done, began, traced)

    def _finish(self, waiting: "_Waiting", result: Any) -> None:
        if isinstance(result, Exception):
            response = self._problem(result)
        else:
            response = 200, JSON, self._encode(result if waiting.many else result[0])
        self.observe(waiting.path, response[0], waiting.began)
        waiting.answered(response)

    def _problem(self, error: Exception) -> "Response":
        problem, extra = self.told_problem(error)
        return problem.status, (*PROBLEM, *extra), self._encode(problem)

    def told_problem(self, error: Exception) -> tuple[Problem, Headers]:
        """What the client is told and the headers with it; what it is not told goes to standard error."""
        problem = problem_of(error)
        if problem.status == 500:
            traceback.print_exception(error, file=sys.stderr)
        elif isinstance(error, WorkspaceError):
            self._tell(str(error))
        return problem, error.headers if isinstance(error, HttpError) else ()

    def observe(self, route: str, status: int, began: float) -> None:
        """A request is answered, which `began` by `perf_counter`."""
        self._count(route, status)
        self._latency.observe(route, time.perf_counter() - began)

    def publish(self) -> None:
        """Leave the metrics for the other workers of this server, where there are some."""
        if self.siblings is not None:
            self.siblings.publish(self._own_metrics())

    def _metrics(self) -> str:
        own = self._own_metrics()
        return (own if self.siblings is None else self.siblings.whole(own)) + self._beside()

    def _own_metrics(self) -> str:
        histograms = (self._latency, self.in_flight.stages)
        return exposition(self.plane, histograms, self._responses, self._refused, self._entered, self.in_flight.closed)

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

    def _ready(self) -> tuple[int, bytes, bytes]:
        plane = self.plane
        champion = plane.champion
        answer = {
            "ready": champion is not None and not self.draining,
            "system": self.name,
            "release": champion.name if champion else None,
            "challenger": plane.challenger.name if plane.challenger else None,
            "share": plane.share,
            "trained_until": iso(champion.release.manifest.trained_until_us) if champion else None,
            "events": plane.events(),
            "notes": [
                *([] if champion else ["no release is live yet"]), *(["is about to end"] if self.draining else []), *self._notes,
            ],
        }  # fmt: skip
        return (200 if answer["ready"] else 503), b"application/json", self._encode(answer)
