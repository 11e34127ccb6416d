"""The body of a request: read whole, or refused and dropped. Knows nothing of what is in it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from modelwright.serving.limits import BODY_LIMIT, Room
from modelwright.serving.problems import HttpError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DROP_LIMIT = 256 << 20
"""Bytes of a body too large that are read and dropped before its connection is closed on it."""


async def read_body(scope: Scope, receive: Receive, room: Room, no_room: Callable[[], HttpError]) -> bytes:
    """The whole body, its room taken.

    HttpError 413 where it is too large, 415 where it is compressed, 503 where there is no room, 400 where it ends early.

    A body that is refused is dropped as it comes, up to its end or `DROP_LIMIT`: a client that is still sending does not
    read the answer. One that asks first (`Expect: 100-continue`) is told at once.
    """
    too_large = HttpError(
        413,
        f"the body is larger than {BODY_LIMIT >> 20} MiB; send fewer entries at a time",
        ((b"connection", b"close"),),
    )
    headers = dict(scope["headers"])
    announced = headers.get(b"content-length", b"")
    refused: HttpError | None = None
    if announced.isdigit() and int(announced) > BODY_LIMIT:
        refused = too_large
    elif headers.get(b"content-encoding", b"identity").lower() != b"identity":
        # A small body may hold a large one: what is never unpacked needs no limit of its own.
        refused = HttpError(415, "the body is compressed; send it as it is")
    if refused is not None and b"expect" in headers:
        raise refused
    parts: list[bytes] = []
    size, held, more = 0, 0, True
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise HttpError(400, "the body ended early")
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > BODY_LIMIT:
                refused = refused or too_large
            elif refused is None and not room.take(len(part)):
                refused = no_room()
            if refused is None:
                parts.append(part)
                held += len(part)
            elif held:
                parts.clear()
                room.give_back(held)
                held = 0
            if size > DROP_LIMIT:
                break
        if refused is not None:
            raise refused
    except BaseException:
        room.give_back(held)
        raise
    return b"".join(parts)
