"""What a further protocol over HTTP is: paths of its own, bodies of its own, and the same data plane behind them.

`HttpApp` reads the body, hands the request over, and runs what the dialect decoded in the batch of whatever else is in
flight; a dialect turns bodies into events and answers into bodies, and decides nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from modelwright.serving.events import Event
from modelwright.serving.messages import Answer
from modelwright.serving.problems import Problem

Headers = tuple[tuple[bytes, bytes], ...]
Response = tuple[int, Headers, bytes]
"""Status, headers without the length, body."""
Predict = Callable[[list[Event]], Awaitable[list[msgspec.Raw]]]
"""Predicts and logs events together with whatever else is in flight; an encoded `Answer` for each, or the error."""

_ANSWER = msgspec.json.Decoder(Answer)


class Request(NamedTuple):
    """One request, its body read; the names of the headers in lower case."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes


class Dialect(Protocol):
    """A protocol's routes. `described` are its paths as OpenAPI has them."""

    described: dict[str, Any]

    def route(self, path: str) -> str | None:
        """The route's name for the metrics where the path is this protocol's, else None."""
        ...

    async def answer(self, request: Request, predict: Predict) -> Response:
        """Work off one request; raises what `problem_of` knows."""
        ...

    def refusal(self, problem: Problem) -> tuple[Headers, bytes]:
        """How this protocol says what went wrong: headers and body."""
        ...


def decoded(answer: msgspec.Raw) -> Answer:
    """An answer as a value again."""
    return _ANSWER.decode(answer)


def described(method: str, summary: str, *statuses: int) -> dict[str, Any]:
    """One path as OpenAPI has it: a method and the statuses beside 200."""
    said = {str(status): {"description": "Refused"} for status in statuses}
    return {method.lower(): {"summary": summary, "responses": {"200": {"description": "Done"}, **said}}}
