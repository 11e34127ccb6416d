"""What a further protocol over HTTP is: paths of its own, bodies of its own, and the same data plane behind them.

`HttpApp` reads the body, hands the request over, and runs what the dialect decoded in the batch of whatever else is in
flight; a dialect turns bodies into events and answers into bodies, and decides nothing. It never waits.
"""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

import msgspec

from modelwright.serving.events import Event
from modelwright.serving.messages import Answer
from modelwright.serving.problems import Problem
from modelwright.serving.schemas import Schemas

Headers = tuple[tuple[bytes, bytes], ...]
Response = tuple[int, Headers, bytes]
"""Status, headers without the length, body."""

_ANSWER = msgspec.json.Decoder(Answer)


class Request(NamedTuple):
    """One request, its body read; the names of the headers in lower case."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes


class Asked(NamedTuple):
    """Events to predict, and what makes the response of their answers: an encoded `Answer` for each."""

    events: list[Event]
    respond: Callable[[list[msgspec.Raw]], Response]


class Elsewhere(NamedTuple):
    """An answer that is made in another process, without the data plane; it may raise what `problem_of` knows."""

    answer: Coroutine[Any, Any, Response]


class Dialect(Protocol):
    """A protocol's routes."""

    def describe(self, schemas: Schemas) -> dict[str, Any]:
        """Its paths as OpenAPI has them."""
        ...

    def route(self, path: str) -> str | None:
        """The route's name for the metrics where the path is this protocol's, else None."""
        ...

    def begin(self, request: Request) -> Response | Asked | Elsewhere:
        """Answer one request, ask for predictions first, or have it answered elsewhere.

        This and `respond` raise what `problem_of` knows.
        """
        ...

    def refusal(self, problem: Problem) -> tuple[Headers, bytes]:
        """How this protocol says what went wrong: headers and body."""
        ...


def decoded(answer: msgspec.Raw) -> Answer:
    """An answer as a value again."""
    return _ANSWER.decode(answer)
