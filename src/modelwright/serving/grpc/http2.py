"""HTTP/2 from the server's side, as gRPC uses it: h2's events become calls of a `Host`, a host's answers h2's frames.

The protocol is h2's (RFC 9113, with headers by hpack, RFC 7541): frames, states, windows, and what breaks them. Here is what
a server adds: how much it takes on, how long it waits, an orderly end. A connection stands beside those of HTTP/1 in uvicorn's
set, so that it is counted, looked at and shut down like them (`look`, `shutdown`). Nothing here knows of gRPC or of models.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from modelwright.serving.limits import Limits

Header = tuple[bytes, bytes]
Headers = Sequence[Header]
CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    normalize_inbound_headers=False,  # which would join cookies
    normalize_outbound_headers=False,  # ours are as they should be
    validate_outbound_headers=False,
)
STREAMS = 256
"""Streams of a connection at a time."""
HEADER_LIST = 16 << 10
"""Bytes of a request's headers, each counted with its overhead: a few bytes can name a long one many times."""
STREAM_ROOM = 1 << 20
CONNECTION_ROOM = 1 << 24
"""Bytes that a client may send ahead of us, on a stream and on a connection: given back as they come, since the host bounds
what it keeps."""
LARGEST_ID = (1 << 31) - 1
SLICE = 1 << 14
"""Bytes that h2 works off before its events are looked at, so that who floods is stopped within them."""
SILENCE = 1 << 16
"""Bytes in which h2 finds no frame: it refuses one that is too large only when it has all of it, up to 16 MiB."""
RESETS = 200
"""Streams that a client may give up, in about a second, beyond those it lets us answer: more only keeps us busy."""
LAST_CALL = b"goingoff"
"""The ping that tells us that the client knows we are leaving."""


class Host(Protocol):
    """What answers streams. It may `send` on a stream at any time until it has sent the last of it or was told of its end."""

    def opened(self, stream: "Stream", headers: Headers) -> None:
        """A client has begun a request; `stream.peer_done` where that is all of it."""
        ...

    def received(self, stream: "Stream", data: bytes) -> None:
        """A part of its body, maybe empty; `stream.peer_done` with the last one."""
        ...

    def late(self, stream: "Stream") -> None:
        """It has not come in full in time: answer it, or it is given up."""
        ...

    def gone(self, stream: "Stream") -> None:
        """The client does not want the answer any more, or cannot get it."""
        ...

    def leaving(self, stream: "Stream") -> None:
        """The server stops: an answer that has no end of its own gets one now."""
        ...


class Stream:
    """One request and its answer. Owned by its connection; `call` is the host's."""

    __slots__ = ("_connection", "began", "call", "done", "id", "moved", "peer_done", "tail", "waiting")

    def __init__(self, connection: "Http2Connection", id: int, now: float) -> None:
        self._connection = connection
        self.id = id
        self.began = self.moved = now
        self.peer_done = self.done = False
        self.waiting = b""
        self.tail: Headers | None = None
        self.call: Any = None

    def send(self, head: Headers | None, data: bytes, tail: Headers | None) -> None:
        """Send headers, then data, then headers that end the stream; each may be absent (an empty tail makes the head the
        last). What the client has no room for waits."""
        if not self.done:
            self._connection.send(self, head, data, tail)


class _H2(H2Connection):
    """h2 remembers how streams ended, to tell what was on its way from what breaks the protocol: by default of so many that
    every connection grows by megabytes."""

    MAX_CLOSED_STREAMS = 4 * STREAMS


class Http2Connection(asyncio.Protocol):
    """One client's connection. `connections` is the set it is in while it is open."""

    def __init__(
        self,
        host: Host,
        connections: set[Any],
        limits: Limits,
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._host = host
        self._connections = connections
        self._limits = limits
        self._is_full = is_full
        self._loop = asyncio.get_running_loop()
        self._h2 = _H2(CONFIG)
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._resets = 0
        self._silent = 0
        self._settled = self._writing = self._paused = False
        self._leaving = self._final = self._closing = False
        self._since = self._loop.time()
        self.transport: Any = None

    # What asyncio tells.

    def connection_made(self, transport: Any) -> None:
        """A connection is open, if there is room for it."""
        self.transport = transport
        self._connections.add(self)
        # The settings are a server's preface. h2 holds a client to them from when it has acknowledged them, as the protocol
        # has it; `initiate_connection` would from the start, and end connections that could not know.
        self._h2.local_settings = Settings(client=False)
        self._h2.update_settings({
            SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_ROOM,
            SettingCodes.MAX_HEADER_LIST_SIZE: HEADER_LIST,
        })  # fmt: skip
        self._h2.increment_flow_control_window(CONNECTION_ROOM - self._h2.inbound_flow_control_window)
        self._write_soon()
        if self._is_full():
            self._end(ErrorCodes.ENHANCE_YOUR_CALM, "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed; nobody gets what was not sent."""
        self._closing = True
        self._connections.discard(self)
        for stream in list(self._streams.values()):
            self._forget(stream, told=True)

    def pause_writing(self) -> None:
        """The client does not read: so do not we."""
        self._paused = True
        self._since = self._loop.time()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._paused = False
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Whatever has come."""
        for place in range(0, len(data), SLICE):
            if self._closing:
                return
            self._write()  # h2 drops what it holds when a client says GOAWAY
            part = data[place : place + SLICE]
            try:
                events = self._h2.receive_data(part)
            except ProtocolError as error:
                self._h2.clear_outbound_data_buffer()  # h2's own farewell, which does not say why
                self._end(error.error_code, str(error))
                return
            if self._h2.state_machine.state is ConnectionState.CLOSED:
                self._stay()
            for event in events:
                self._event(event)
            self._silent = 0 if events or self._write() else self._silent + len(part)
            if self._silent > SILENCE:
                self._end(ErrorCodes.FRAME_SIZE_ERROR, "a frame is too large")
        self._write_soon()

    # What h2 tells.

    def _event(self, event: Event) -> None:
        if self._closing:
            return
        if isinstance(event, DataReceived):
            self._data(event)
        elif isinstance(event, RequestReceived):
            self._begin(event)
        elif isinstance(event, TrailersReceived):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.peer_done = True
                self._host.received(stream, b"")
        elif isinstance(event, StreamReset):
            self._reset(event)
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            self._settled = self._settled or isinstance(event, RemoteSettingsChanged)
            for stream in list(self._streams.values()):
                self._pump(stream)
        elif isinstance(event, PingAckReceived):
            if event.ping_data == LAST_CALL and self._leaving:
                self._farewell(self._last)
                self._finish()
        elif isinstance(event, ConnectionTerminated):  # the client begins nothing more
            self._finish()

    def _begin(self, event: RequestReceived) -> None:
        id = event.stream_id
        if self._final or len(self._streams) >= STREAMS:
            self._tell_reset(id, ErrorCodes.REFUSED_STREAM)
            return
        self._last = id
        stream = self._streams[id] = Stream(self, id, self._loop.time())
        stream.peer_done = event.stream_ended is not None
        self._host.opened(stream, event.headers)

    def _data(self, event: DataReceived) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None:  # else we have ended it
            stream.peer_done = event.stream_ended is not None
            self._host.received(stream, event.data)

    def _reset(self, event: StreamReset) -> None:
        if event.remote_reset:
            self._resets += 1
            if self._resets > RESETS:
                self._end(ErrorCodes.ENHANCE_YOUR_CALM, "too many streams are given up")
                return
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            self._forget(stream, told=True)

    # Answers.

    def send(self, stream: Stream, head: Headers | None, data: bytes, tail: Headers | None) -> None:
        """See `Stream.send`."""
        whole = tail is not None and not tail and not data
        try:
            if head is not None:
                self._h2.send_headers(stream.id, head, end_stream=whole)
        except ProtocolError:  # h2 has read that the client gave it up, and tells next
            self._forget(stream, told=True)
            return
        if whole:
            self._answered(stream)
        else:
            stream.waiting += data
            stream.tail = tail
            self._pump(stream, new=True)
        self._write_soon()

    def _pump(self, stream: Stream, *, new: bool = False) -> None:
        """Send as much of what waits as there is room for."""
        waiting, sent = stream.waiting, 0
        if not waiting and not new:
            return
        try:
            while sent < len(waiting):
                room = min(self._h2.local_flow_control_window(stream.id), self._h2.max_outbound_frame_size)
                if room <= 0:
                    break
                self._h2.send_data(stream.id, waiting[sent : sent + room])
                sent += room
            if sent:
                stream.moved = self._loop.time()
                stream.waiting = waiting[sent:]
            if not stream.waiting and stream.tail is not None:
                self._h2.send_headers(stream.id, stream.tail, end_stream=True)
                self._answered(stream)
        except ProtocolError:  # as above
            self._forget(stream, told=True)

    def _answered(self, stream: Stream) -> None:
        """All of it is sent."""
        self._resets = max(0, self._resets - 1)
        if not stream.peer_done:  # there is no need for the rest of the request
            self._tell_reset(stream.id, ErrorCodes.NO_ERROR)
        self._forget(stream)

    def _forget(self, stream: Stream, *, told: bool = False) -> None:
        stream.done = True
        self._streams.pop(stream.id, None)
        if told:
            self._host.gone(stream)
        if not self._streams:
            self._since = self._loop.time()
            if self._final:
                self._close()

    # How it ends.

    def look(self, now: float) -> None:
        """End what has been waited for too long."""
        request_s = self._limits.request_s
        waited = now - self._since
        self._resets //= 2
        if self._paused or self._closing:
            if waited > request_s:
                self.transport.abort()
        elif not self._settled:
            if waited > request_s:
                self._end(ErrorCodes.CANCEL, "nothing came")
        elif not self._streams and waited > self._limits.idle_s:
            self._end(ErrorCodes.NO_ERROR, "idle")
        for stream in list(self._streams.values()):
            if stream.waiting and now - stream.moved > request_s:
                self._give_up(stream)
            elif not stream.peer_done and now - stream.began > request_s:
                self._host.late(stream)
                if not stream.done:
                    self._give_up(stream)

    def _give_up(self, stream: Stream) -> None:
        self._tell_reset(stream.id, ErrorCodes.CANCEL)
        self._forget(stream, told=True)

    def shutdown(self) -> None:
        """The server stops. What the client has sent before it knows that is answered, then the connection closes."""
        if self._closing:
            return
        self._leaving = True
        for stream in list(self._streams.values()):
            self._host.leaving(stream)
        if not self._settled:
            self._end(ErrorCodes.NO_ERROR, "")
        else:
            self._farewell(LARGEST_ID)
            self._h2.ping(LAST_CALL)
            self._write_soon()

    def _farewell(self, last: int) -> None:
        """Say that streams up to the last one are answered, and no others."""
        self._h2.close_connection(ErrorCodes.NO_ERROR, last_stream_id=last)
        self._stay()

    def _stay(self) -> None:
        """h2 takes a connection for closed as soon as either side says GOAWAY, where HTTP/2 lets streams finish
        (https://github.com/python-hyper/h2/issues/1181)."""
        self._h2.state_machine.state = ConnectionState.SERVER_OPEN

    def _finish(self) -> None:
        """Begin nothing more; close when all is answered."""
        self._final = True
        if not self._streams:
            self._close()

    def _end(self, code: int, why: str) -> None:
        self._h2.close_connection(code, why.encode())
        self._close()

    def _close(self) -> None:
        if not self._closing:
            self._write()
            self._closing = True
            self._since = self._loop.time()
            self.transport.close()

    # Frames on their way out.

    def _tell_reset(self, id: int, code: ErrorCodes) -> None:
        try:
            self._h2.reset_stream(id, code)
        except ProtocolError:  # it is gone already
            return
        self._write_soon()

    def _write_soon(self) -> None:
        """What is sent in one turn of the loop is one system call."""
        if not self._writing:
            self._writing = True
            self._loop.call_soon(self._write)

    def _write(self) -> bool:
        """Send what h2 holds; whether that was anything."""
        self._writing = False
        data = self._h2.data_to_send()
        if data and not self._closing:
            self.transport.write(data)
        return bool(data)
