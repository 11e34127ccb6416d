"""An answer as the bytes of HTTP/1.1 (RFC 9112). Knows nothing of what it says."""

from functools import lru_cache

from modelwright.serving.dialect import Headers, Response

REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
           405: b"Method Not Allowed", 406: b"Not Acceptable", 408: b"Request Timeout", 409: b"Conflict",
           413: b"Content Too Large", 415: b"Unsupported Media Type", 422: b"Unprocessable Content",
           429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
           500: b"Internal Server Error", 503: b"Service Unavailable"}  # fmt: skip


def wire(response: Response, *, keep_alive: bool) -> bytes:
    """An answer as it is sent."""
    status, headers, payload = response
    return b"%scontent-length: %d\r\n\r\n%s" % (_head(status, headers, keep_alive), len(payload), payload)


@lru_cache(maxsize=16)  # nearly all answers have one of few
def _head(status: int, headers: Headers, keep_alive: bool) -> bytes:
    lines = [b"HTTP/1.1 %d %s" % (status, REASONS.get(status, b"Error"))]
    lines += [b"%s: %s" % header for header in headers]
    if not keep_alive:
        lines.append(b"connection: close")
    return b"\r\n".join([*lines, b""])
