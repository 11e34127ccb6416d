"""What HTTP alone costs: a raw ASGI application that reads the body and answers a constant of our answer's size."""

from typing import Any

ANSWER = (
    b'{"id":"bench-0-12345","prediction":true,"score":0.8123456789,'
    b'"probabilities":{"false":0.1876543211,"true":0.8123456789},"release":"r1-000000000000"}'
)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer anything."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
