"""The cloud containers' contracts over HTTP: SageMaker, MLflow's scoring server, Vertex AI and Azure ML, behind one class.

SageMaker and MLflow share /ping and /invocations; Vertex AI gives the two other names (`app.vertex`). A row's answer is the
object that /predict gives. Each inference is an event like any other: with a log it is durable before it is answered.

References: SageMaker's "Use your own inference code with hosting services" and "Common data formats for inference",
Vertex AI's "Custom container requirements for prediction", MLflow's "Deploy MLflow model as a local inference server".
"""

import csv
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from modelwright import __version__
from modelwright.core.errors import UnavailableError
from modelwright.serving.dialect import Asked, Headers, Request, Response, decoded
from modelwright.serving.invocation_bodies import (
    CSV_TYPE,
    JSON_TYPE,
    LINES_TYPE,
    TYPES,
    BodyReader,
    MediaType,
    media_type,
)
from modelwright.serving.messages import class_text
from modelwright.serving.plane import Plane
from modelwright.serving.problems import PROBLEM, HttpError, Problem
from modelwright.serving.rows import RowReader
from modelwright.serving.schemas import Schemas, listed, members

_ENCODE = msgspec.json.Encoder().encode


class Invocations:
    """/ping, /version, /invocations and /score."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._rows = RowReader(plane)
        self._bodies = BodyReader(plane.contract, self._rows)
        self._routes: dict[str, tuple[str, Callable[[Request], Response | Asked]]] = {
            "/ping": ("GET", self._ping),
            "/version": ("GET", self._version),
            "/invocations": ("POST", self._invocation),
            "/score": ("POST", self._score),
        }

    def describe(self, schemas: Schemas) -> dict[str, Any]:
        """Its paths, with the forms of their bodies."""
        text, rows = {"type": "string"}, listed({"anyOf": [schemas.row, schemas.values]})
        nothing = {"type": ["object", "null"], "maxProperties": 0}
        columns = {"type": "object", "minProperties": 1}
        split = members(["data"], columns=listed(text), data=listed({"type": "array"}), index={})
        answers = listed(schemas.answer)
        invocation = {
            "oneOf": [
                members(["instances"], instances=rows, parameters=nothing, params=nothing),
                members(["inputs"], inputs={"anyOf": [rows, columns]}, params=nothing),
                members(["dataframe_split"], dataframe_split=split, params=nothing),
                members(["dataframe_records"], dataframe_records=listed(schemas.row), params=nothing),
            ]
        }
        score = {
            "oneOf": [
                members(["input_data"], input_data={"anyOf": [rows, split, columns]}, params=nothing),
                members(["data"], data=rows, params=nothing),
            ]
        }
        logged = (409,) if self._plane.events() is not None else ()
        as_text = {LINES_TYPE: text, CSV_TYPE: text}
        return {
            "/ping": schemas.get("SageMaker, MLflow: can it answer", {}, (503,)),
            "/version": schemas.get("MLflow: the version of this server", {"text/plain": text}),
            "/invocations": schemas.post(
                "SageMaker, MLflow, Vertex AI: predict rows",
                {JSON_TYPE: invocation, **as_text},
                {JSON_TYPE: members(["predictions"], predictions=answers), **as_text},
                (406, *logged),
            ),
            "/score": schemas.post("Azure ML: predict rows", {JSON_TYPE: score}, {JSON_TYPE: answers}, logged),
        }

    def route(self, path: str) -> str | None:
        """The path where it is one of these."""
        return path if path in self._routes else None

    def refusal(self, problem: Problem) -> tuple[Headers, bytes]:
        """Problem JSON, as everywhere."""
        return PROBLEM, _ENCODE(problem)

    def begin(self, request: Request) -> Response | Asked:
        """Answer one request, or ask for predictions."""
        method, work = self._routes[request.path]
        if request.method != method and (request.method, method) != ("HEAD", "GET"):
            allowed = b"GET, HEAD" if method == "GET" else b"POST"
            told = f"{request.path} takes {allowed.decode()}, not {request.method}"
            raise HttpError(405, told, ((b"allow", allowed),))
        return work(request)

    def _ping(self, request: Request) -> Response:
        return 503 if self._plane.champion is None else 200, (), b""

    def _version(self, request: Request) -> Response:
        return 200, _type("text/plain"), __version__.encode()

    def _invocation(self, request: Request) -> Asked:
        self._check_live()
        kind = _taken(request, *TYPES)
        default = LINES_TYPE if TYPES[kind.name] == LINES_TYPE else JSON_TYPE
        form = accepted(request.headers.get(b"accept", b"").decode("latin-1"), default)
        rows = self._bodies.invocation(MediaType(TYPES[kind.name], kind.parameters), request.body)
        return Asked(self._rows.events(rows), partial(self._respond, form))

    def _score(self, request: Request) -> Asked:
        self._check_live()
        _taken(request, JSON_TYPE)
        rows = self._bodies.score(request.body)
        return Asked(self._rows.events(rows), lambda answers: (200, _type(JSON_TYPE), _ENCODE(answers)))

    def _check_live(self) -> None:
        if self._plane.champion is None:
            raise UnavailableError("no release is live yet")

    def _respond(self, form: str, answers: list[msgspec.Raw]) -> Response:
        if form == LINES_TYPE:
            return 200, _type(form), b"".join(bytes(answer) + b"\n" for answer in answers)
        if form == CSV_TYPE:
            return 200, _type(form), self._lines(answers)
        return 200, _type(form), _ENCODE({"predictions": answers})

    def _lines(self, answers: list[msgspec.Raw]) -> bytes:
        """A line a row: id, prediction, then the score, or where there is none a probability a class, in the classes' order."""
        champion = self._plane.champion
        classes = [] if champion is None else [class_text(value) for value in champion.release.manifest.classes]
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        for answer in map(decoded, answers):
            shares = answer.probabilities or {}
            numbers = [shares.get(name, 0.0) for name in classes] if answer.score is None else [answer.score]
            said = class_text(answer.prediction) if isinstance(answer.prediction, bool) else answer.prediction
            writer.writerow([answer.id, said, *numbers])
        return lines.getvalue().encode()


def _type(name: str) -> Headers:
    return ((b"content-type", name.encode()),)


def _taken(request: Request, *taken: str) -> MediaType:
    """The content type of a body, JSON where none is said; HttpError 415 where it is none of these, or not UTF-8."""
    said = request.headers.get(b"content-type", JSON_TYPE.encode()).decode("latin-1")
    kind = media_type(said)
    if kind.name not in taken:
        raise HttpError(415, f"content-type: {said[:100]}; {request.path} takes {', '.join(taken)}")
    charset = kind.parameters.get("charset", "utf-8")
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise HttpError(415, f"content-type: charset={charset[:50]}; send UTF-8")
    return kind


def accepted(accept: str, default: str) -> str:
    """The form an answer is sent in: the first that is accepted and known. HttpError 406 where none is.

    >>> accepted("*/*", "application/json"), accepted("image/png, text/csv", "application/json")
    ('application/json', 'text/csv')
    """
    names = [media_type(each).name for each in accept.split(",")] if accept.strip() else ["*/*"]
    for name in names:
        if name in TYPES:
            return TYPES[name]
        if name in ("*/*", f"{default.partition('/')[0]}/*"):
            return default
    raise HttpError(406, f"accept: {accept[:100]}; answers are {', '.join(dict.fromkeys(TYPES.values()))}")
