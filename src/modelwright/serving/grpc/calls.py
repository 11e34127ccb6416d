"""gRPC's calls on HTTP/2's streams: messages, statuses, admission, metrics. What a method does is its service's business.

Between `http2` and the services. A call is admitted, counted, logged and refused like a request over HTTP, by the same
application; compressed messages are refused as they are there.

Reference: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from modelwright.serving.grpc.http2 import Header, Headers, Stream
from modelwright.serving.http import HttpApp
from modelwright.serving.limits import BODY_LIMIT
from modelwright.serving.problems import GRPC_CODE, HttpError
from modelwright.serving.request_log import Traced

_CONTENT = (b"content-type", b"application/grpc")
_ENCODING = (b"grpc-accept-encoding", b"identity")
_HEAD = (b":status", b"200"), _CONTENT, _ENCODING
_OK = ((b"grpc-status", b"0"),)
_NOT_GRPC = ((b":status", b"415"),)
_VISIBLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
PREFIX = 5
"""Bytes before a message: whether it is compressed, and its length."""

Work = Callable[["Call", Any], None]
"""Works off one message of a call: answers it, or fails it, now or later. What it raises fails the call."""


class Method(NamedTuple):
    """One method: the class of its messages and what works them off. A `stream` may answer any number of times; a `lasting`
    one goes on when the client has said all."""

    request: Any
    work: Work
    stream: bool = False
    lasting: bool = False


class Call:
    """One call on its stream: unary unless `stream`, where the service answers until it ends the call."""

    __slots__ = (
        "_calls", "_head", "_stream", "began", "body", "entered", "held", "key", "method", "over", "route", "traced",
    )  # fmt: skip

    def __init__(self, calls: "Calls", stream: Stream, route: str, traced: Traced | None) -> None:
        self._calls = calls
        self._stream = stream
        self._head: Headers | None = None
        self.route = route
        self.traced = traced
        self.key = ""
        self.method: Method | None = None
        self.body: bytes | bytearray = b""
        self.held = 0
        self.entered = self.over = False
        self.began = time.perf_counter()

    def answer(self, message: Any) -> None:
        """Send a message; of a unary call it is all."""
        if self.over:
            return
        text: bytes = message.SerializeToString()
        data = b"\0" + len(text).to_bytes(4, "big") + text
        assert self.method is not None
        if self.method.stream:
            self._stream.send(self._begin(), data, None)
        else:
            head = self._calls.ended(self, 200)
            self._stream.send(head, data, _OK)

    def end(self) -> None:
        """Nothing more comes."""
        if not self.over:
            head = self._begin()
            self._calls.ended(self, 200)
            self._stream.send(head, b"", _OK)

    def fail(self, error: Exception) -> None:
        """It ends with an error."""
        if self.over:
            return
        problem, extra = self._calls.app.told_problem(error)
        status = [(b"grpc-status", b"%d" % GRPC_CODE.get(problem.status, 2))]
        status.append((b"grpc-message", quote(problem.detail, safe=_VISIBLE).encode()))
        status += [(b"grpc-retry-pushback-ms", b"%d" % (1000 * int(s))) for name, s in extra if name == b"retry-after"]
        traced = self._calls.logged(self, problem.status)
        if self._head is None:
            self._stream.send([*_HEAD, *traced, *status], b"", ())
        else:
            self._stream.send(None, b"", status)

    def _begin(self) -> Headers | None:
        """The headers of a streamed answer, before the first message."""
        if self._head is not None:
            return None
        traced = [] if self.traced is None else [(b"x-request-id", self.traced.id)]
        self._head = [*_HEAD, *traced]
        return self._head


class Calls:
    """The `Host` of all connections of a process: methods by path, behind one application's limits, keys and metrics."""

    def __init__(self, app: HttpApp, methods: Mapping[str, Method]) -> None:
        self.app = app
        self._methods = methods

    def opened(self, stream: Stream, headers: Headers) -> None:
        """A call begins."""
        named = dict(headers)
        if not named.get(b"content-type", b"").startswith(b"application/grpc"):
            stream.send(_NOT_GRPC, b"", ())
            return
        path = named.get(b":path", b"").decode("ascii", "replace")
        method = self._methods.get(path)
        log = self.app.request_log
        traced = log.begin(headers) if log is not None else None
        call = stream.call = Call(self, stream, "other" if method is None else path, traced)
        try:
            call.key = self.app.enter(path, headers, full=method is not None and not method.stream)
            call.entered = True
            if method is None:
                raise HttpError(405, f"no method {path}; server reflection says which there are")
            if method.stream:  # it may last for ever: not a request that waits
                self._leave(call)
            call.method = method
            if stream.peer_done:
                self.received(stream, b"")
        except Exception as error:
            call.fail(error)

    def received(self, stream: Stream, data: bytes) -> None:
        """A part of its messages."""
        call: Call | None = stream.call
        if call is None or call.method is None or call.over:
            return
        if not self.app.room.take(len(data)):
            call.fail(self.app.no_room())
            return
        call.held += len(data)
        if call.body:
            call.body += data
        else:
            call.body = data if stream.peer_done else bytearray(data)
        try:
            if call.method.stream:
                self._streamed(call, call.method, done=stream.peer_done)
                if not call.over:
                    self._give_back(call, len(call.body))
            else:
                self._unary(call, call.method, done=stream.peer_done)
        except Exception as error:
            call.fail(error)

    @staticmethod
    def _unary(call: Call, method: Method, *, done: bool) -> None:
        """Work off the only message, when all of it is there."""
        missing = _missing(call.body)
        if missing < 0:
            raise HttpError(400, "more than one message; send a call for each")
        if done:
            if missing:
                raise HttpError(400, "the call ended before its message did")
            call.began = time.perf_counter()
            method.work(call, _read(method, call.body))

    @staticmethod
    def _streamed(call: Call, method: Method, *, done: bool) -> None:
        """Work off all messages that are there."""
        while call.body and (missing := _missing(call.body)) <= 0 and not call.over:
            end = len(call.body) + missing
            message, call.body = call.body[:end], call.body[end:]
            method.work(call, _read(method, message))
        if done and call.body:
            raise HttpError(400, "the call ended before its message did")
        if done and not method.lasting:
            call.end()

    def late(self, stream: Stream) -> None:
        """It has not come in full in time."""
        error = HttpError(408, "the call did not come in full in time; send it faster")
        if stream.call is not None:
            stream.call.fail(self.app.refused("slow", error))

    def gone(self, stream: Stream) -> None:
        """Nobody waits for it any more. What is in a batch is worked off all the same."""
        if stream.call is not None and not stream.call.over:
            stream.call.over = True
            self._leave(stream.call)

    def leaving(self, stream: Stream) -> None:
        """The server stops."""
        call: Call | None = stream.call
        if call is not None and call.method is not None and call.method.stream:
            call.fail(HttpError(503, "the server stops"))

    def ended(self, call: Call, status: int) -> Headers:
        """A call is answered; the headers of its answer."""
        return (*_HEAD, *self.logged(call, status))

    def logged(self, call: Call, status: int) -> list[Header]:
        """A call is over, and is counted with the status that HTTP has for it; the header that tells its id."""
        call.over = True
        self._leave(call)
        self.app.observe(call.route, status, call.began)
        log = self.app.request_log
        if log is None or call.traced is None:
            return []
        return [log.end(call.traced, "POST", call.route, status, call.key, "" if call.method is None else call.route)]

    def _leave(self, call: Call) -> None:
        if call.entered:
            call.entered = False
            self.app.leave()
        self._give_back(call)

    def _give_back(self, call: Call, kept: int = 0) -> None:
        """The room of what a call held, but for so many bytes: a message of a stream is worked off when it is there."""
        self.app.room.give_back(call.held - kept)
        call.held = kept


def _missing(body: bytes | bytearray) -> int:
    """How many bytes the first message of a body lacks; less than none where more follow. HttpError 413 where it is too
    large, 415 where it is compressed."""
    if len(body) < PREFIX:
        return PREFIX - len(body)
    if body[0]:
        raise HttpError(415, "the message is compressed; send it as it is")
    size = int.from_bytes(body[1:PREFIX], "big")
    if size > BODY_LIMIT:
        raise HttpError(413, f"the message is larger than {BODY_LIMIT >> 20} MiB; send fewer rows at a time")
    return PREFIX + size - len(body)


def _read(method: Method, body: bytes | bytearray) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return method.request.FromString(bytes(memoryview(body)[PREFIX:]))
    except DecodeError:
        raise HttpError(400, f"the message is no {method.request.DESCRIPTOR.full_name}") from None
