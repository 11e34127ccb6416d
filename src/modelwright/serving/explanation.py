"""`POST /explain`: which inputs made a prediction what it is. A thin route: the work is done elsewhere, and never here.

The body goes as it came to whoever explains (`app/explainer_process.py`: a process of its own), with the name of the
champion, and what comes back is the answer. So the event loop of a server spends no more on an explanation than on
reading its request. Nothing is logged.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from modelwright.core.errors import UnavailableError
from modelwright.serving.dialect import Elsewhere, Headers, Request, Response
from modelwright.serving.plane import Plane
from modelwright.serving.problems import HttpError, Problem
from modelwright.serving.schemas import JSON_TYPE, Schemas

PATH = "/explain"
BODY_LIMIT = 1 << 20
"""Bytes of one event."""


class Contribution(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What one input's value moved the output by, in the explanation's unit; `error`: its standard error where it is not
    exact."""

    input: str
    value: Any
    contribution: float
    error: float | None = None

    @property
    def size(self) -> float:
        return abs(self.contribution)


class Explanation(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One prediction, the largest contribution first: `base` and all contributions add up to `output`.

    `of`: the class that is explained; amounts have none. `unit`: that of base, output and contributions.
    `logged`: the prediction is in the log, and its features are those it was served with.
    """

    id: str
    release: str
    prediction: Any
    score: float | None = None
    of: bool | str | None = None
    unit: str
    method: str
    base: float
    output: float
    logged: bool = False
    contributions: list[Contribution]


Ask = Callable[[str, bytes], Coroutine[Any, Any, Response]]
"""Has a body explained, by a release of that name where it was not answered yet. Raises `HttpError` 503 where too many
wait or it takes too long."""


class ExplanationRoute:
    """The route as a dialect. `logged`: an id alone may be asked about."""

    def __init__(self, plane: Plane, ask: Ask, *, logged: bool) -> None:
        self._plane = plane
        self._ask = ask
        self._logged = logged

    def describe(self, schemas: Schemas) -> dict[str, Any]:
        """The path as OpenAPI has it."""
        _, parts = msgspec.json.schema_components([Explanation], ref_template="{name}")
        found = parts["Explanation"]
        found["properties"]["contributions"]["items"] = parts["Contribution"]
        id = {
            "type": "object",
            "properties": {"id": {"type": "string"}},
            "required": ["id"],
            "additionalProperties": False,
        }
        body = {"anyOf": [id, schemas.event]} if self._logged else schemas.event
        summary = "Which inputs made a prediction what it is; nothing is logged"
        return {PATH: schemas.post(summary, {JSON_TYPE: body}, {JSON_TYPE: found}, (404, 409) if self._logged else ())}

    def route(self, path: str) -> str | None:
        """The one path."""
        return PATH if path == PATH else None

    def begin(self, request: Request) -> Elsewhere:
        """Have it explained."""
        if request.method != "POST":
            raise HttpError(405, f"{PATH} takes POST, not {request.method}", ((b"allow", b"POST"),))
        if len(request.body) > BODY_LIMIT:
            raise HttpError(413, f"the body is larger than {BODY_LIMIT >> 20} MiB; send one event")
        if self._plane.champion is None:
            raise UnavailableError("no release is live yet, so there is nothing to explain")
        return Elsewhere(self._ask(self._plane.champion.name, request.body))

    def refusal(self, problem: Problem) -> tuple[Headers, bytes]:
        """As every other route of ours."""
        return ((b"content-type", b"application/problem+json"),), msgspec.json.encode(problem)
