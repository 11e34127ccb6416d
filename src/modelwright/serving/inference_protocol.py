"""The Open Inference Protocol, version 2, over REST: health, metadata, inference, the repository's index.

The model is the system; its version is the release that is live. The event's columns are its inputs, one tensor each.
An inference is an event like any other: logged, with its history read, durable before it is answered.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from modelwright import __version__
from modelwright.core.errors import UnavailableError
from modelwright.serving.dataplane import Dataplane
from modelwright.serving.dialect import Headers, Predict, Request, Response, decoded, described
from modelwright.serving.messages import Answer, class_text
from modelwright.serving.problems import HttpError, Problem
from modelwright.serving.rows import RowReader
from modelwright.serving.tensors import DATATYPE, Tensor, binary, column
from modelwright.spec.contract import Field

JSON: Headers = ((b"content-type", b"application/json"),)
HEADER_LENGTH = b"inference-header-content-length"
_MODEL = "/v2/models/{name}"
_NAMED = r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?"
_PREDICTED = {"bool": "BOOL", "str": "BYTES", "int": "FP64", "float": "FP64"}
"""The datatype of a prediction, by the label's kind: an amount is a number with a fraction, though it counts."""


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class _Infer(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an inference."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Wanted] = []


class _Index(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a question for the index."""

    ready: bool = False


class _Output(NamedTuple):
    """An output: its datatype, how many values a row (0: one, and the shape says no second axis), and its parameters."""

    datatype: str
    width: int = 0
    parameters: dict[str, Any] | None = None


Worker = Callable[[Request, re.Match[str], Predict], Awaitable[Response]]
_INFER = msgspec.json.Decoder(_Infer)
_INDEX = msgspec.json.Decoder(_Index)


class InferenceProtocol:
    """The routes under /v2 for one model, named `name`."""

    def __init__(self, plane: Dataplane, name: str) -> None:
        self._plane = plane
        self._name = name
        self._rows = RowReader(plane)
        self._fields = {field.name: field for field in plane.contract.fields}
        if self._rows.id is not None and self._rows.id not in self._fields:
            self._fields[self._rows.id] = Field(name=self._rows.id, kind="str", column=self._rows.id)
        self._routes: list[tuple[re.Pattern[str], str, str, Worker]] = [
            (re.compile(pattern), method, route, work)
            for pattern, method, route, work in (
                (r"/v2/?", "GET", "/v2", self._server),
                (r"/v2/health/live", "GET", "/v2/health/live", self._live),
                (r"/v2/health/ready", "GET", "/v2/health/ready", self._ready),
                (_NAMED, "GET", _MODEL, self._metadata),
                (f"{_NAMED}/ready", "GET", f"{_MODEL}/ready", self._model_ready),
                (f"{_NAMED}/infer", "POST", f"{_MODEL}/infer", self._infer),
                (r"/v2/repository/index", "POST", "/v2/repository/index", self._index),
            )
        ]
        self.described = {
            "/v2": described("GET", "Open Inference Protocol: the server"),
            "/v2/health/live": described("GET", "Open Inference Protocol: is the process alive"),
            "/v2/health/ready": described("GET", "Open Inference Protocol: can it answer", 503),
            f"/v2/models/{name}": described("GET", "Open Inference Protocol: inputs and outputs"),
            f"/v2/models/{name}/ready": described("GET", "Open Inference Protocol: is a release live", 503),
            f"/v2/models/{name}/infer": described(
                "POST", "Open Inference Protocol: predict rows, one tensor a column, and log them",
                400, 409, 413, 422, 503,
            ),
            "/v2/repository/index": described("POST", "Open Inference Protocol: the models that are here", 400),
        }  # fmt: skip

    def route(self, path: str) -> str | None:
        """The route's name where the path is under /v2."""
        if not (path == "/v2" or path.startswith("/v2/")):
            return None
        return next((route for pattern, _, route, _ in self._routes if pattern.fullmatch(path)), "/v2/other")

    def refusal(self, problem: Problem) -> tuple[Headers, bytes]:
        """An error object, as the protocol has it."""
        return JSON, msgspec.json.encode({"error": problem.detail})

    async def answer(self, request: Request, predict: Predict) -> Response:
        """Work off one request."""
        for pattern, method, _, work in self._routes:
            found = pattern.fullmatch(request.path)
            if found is not None:
                if request.method != method and (request.method, method) != ("HEAD", "GET"):
                    allow = method.encode()
                    raise HttpError(405, f"{request.path} takes {method}, not {request.method}", ((b"allow", allow),))
                self._check_model(found)
                return await work(request, found, predict)
        raise HttpError(404, f"no route {request.path}; see /openapi.json")

    def _check_model(self, found: re.Match[str]) -> None:
        asked = found.groupdict()
        if asked.get("name", self._name) != self._name:
            raise HttpError(404, f"no model {asked['name']!r} here; the one that is here is {self._name!r}")
        version = asked.get("version")
        live = self._version()
        if version is not None and version != live:
            raise HttpError(404, f"version {version!r} of {self._name} is not live; {live or 'none'} is")

    def _version(self) -> str | None:
        return self._plane.champion.name if self._plane.champion is not None else None

    async def _server(self, request: Request, found: re.Match[str], predict: Predict) -> Response:
        return _said({"name": "modelwright", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def _live(self, request: Request, found: re.Match[str], predict: Predict) -> Response:
        return _said({"live": True})

    async def _ready(self, request: Request, found: re.Match[str], predict: Predict) -> Response:
        ready = self._version() is not None
        return _said({"ready": ready}, 200 if ready else 503)

    async def _model_ready(self, request: Request, found: re.Match[str], predict: Predict) -> Response:
        ready = self._version() is not None
        return _said({"name": self._name, "ready": ready}, 200 if ready else 503)

    async def _metadata(self, request: Request, found: re.Match[str], predict: Predict) -> Response:
        version = self._version()
        inputs = [
            {"name": field.name, "datatype": DATATYPE[field.kind], "shape": [-1]} for field in self._fields.values()
        ]
        outputs = [
            {
                "name": name,
                "datatype": output.datatype,
                "shape": [-1, output.width] if output.width else [-1],
                **({"parameters": output.parameters} if output.parameters else {}),
            }
            for name, output in self._outputs(self._classes()).items()
        ]
        versions = [] if version is None else [version]
        about = {"name": self._name, "versions": versions, "platform": "modelwright"}
        return _said({**about, "inputs": inputs, "outputs": outputs})

    async def _index(self, request: Request, found: re.Match[str], predict: Predict) -> Response:
        asked = _decode(_INDEX, request.body) if request.body.strip() else _Index()
        version = self._version()
        if version is not None:
            return _said([{"name": self._name, "version": version, "state": "READY", "reason": ""}])
        none = {"name": self._name, "version": "", "state": "UNAVAILABLE", "reason": "no release is live yet"}
        return _said([] if asked.ready else [none])

    # Inference.

    def _classes(self) -> tuple[str, ...]:
        champion = self._plane.champion
        return () if champion is None else tuple(class_text(value) for value in champion.release.manifest.classes)

    def _outputs(self, classes: tuple[str, ...]) -> dict[str, _Output]:
        """What is answered: the classes' probabilities where there are classes, in the order their parameter says."""
        kind = self._plane.label.kind
        outputs = {"prediction": _Output(_PREDICTED[kind])}
        if kind == "bool":
            outputs["score"] = _Output("FP64")
        if classes:
            named = msgspec.json.encode(classes).decode()
            outputs["probabilities"] = _Output("FP64", len(classes), {"classes": named})
        return {**outputs, "id": _Output("BYTES"), "release": _Output("BYTES")}

    async def _infer(self, request: Request, found: re.Match[str], predict: Predict) -> Response:
        if self._plane.champion is None:
            raise UnavailableError("no release is live yet; events are accepted at POST /events")
        asked, raw = _split(request)
        for name in asked.parameters.keys() - {"id", "binary_data_output"}:
            raise HttpError(400, f"parameters.{name} is not built; id and binary_data_output are")
        for wanted in asked.outputs:
            for name in wanted.parameters.keys() - {"binary_data"}:
                raise HttpError(400, f"outputs: {wanted.name}: parameters.{name} is not built; binary_data is")
        self._check_wanted(asked, self._outputs(self._classes()))
        answers = [decoded(answer) for answer in await predict(self._rows.events(self._read(asked, raw)))]
        return self._written(asked, answers)

    @staticmethod
    def _check_wanted(asked: _Infer, outputs: dict[str, _Output]) -> None:
        for wanted in asked.outputs:
            if wanted.name not in outputs:
                raise HttpError(400, f"no output {wanted.name!r}; there are {', '.join(outputs)}")

    def _read(self, asked: _Infer, raw: memoryview) -> list[dict[str, Any]]:
        """The rows of a request."""
        columns: dict[str, list[Any]] = {}
        place = 0
        for tensor in asked.inputs:
            field = self._fields.get(tensor.name)
            if field is None:
                raise HttpError(400, f"no input {tensor.name!r}; there are {', '.join(self._fields)}")
            if tensor.name in columns:
                raise HttpError(400, f"{tensor.name}: twice among the inputs")
            for name in tensor.parameters.keys() - {"binary_data_size"}:
                raise HttpError(400, f"{tensor.name}: parameters.{name} is not built; binary_data_size is")
            size = tensor.parameters.get("binary_data_size")
            part = None
            if size is not None:
                if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(raw) - place:
                    raise HttpError(400, f"{tensor.name}: binary_data_size {size!r}; {len(raw) - place} bytes are left")
                part = raw[place : place + size]
                place += size
            columns[tensor.name] = column(tensor, field, part)
        if place != len(raw):
            raise HttpError(400, f"{len(raw) - place} bytes more than the inputs' binary_data_size")
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise HttpError(400, f"the inputs have different numbers of rows: {lengths}")
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return self._named(asked, rows)

    def _named(self, asked: _Infer, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows with the id that the parameters give to a single one."""
        if "id" not in asked.parameters:
            return rows
        id, column = asked.parameters["id"], self._rows.id
        if column is None or column in (rows[0] if rows else {}) or len(rows) != 1:
            raise HttpError(400, "parameters.id names the event of one row; send several rows' ids as an input")
        return [{**rows[0], column: id}]

    def _written(self, asked: _Infer, answers: list[Answer]) -> Response:
        classes = self._classes()
        # A repeat is answered with what another release may have said.
        others = {name for answer in answers for name in answer.probabilities or ()} - set(classes)
        columns = self._outputs((*classes, *sorted(others)))
        self._check_wanted(asked, columns)
        wanted = asked.outputs or [_Wanted(name) for name in columns]
        outputs, tail = [], []
        for each in wanted:
            output = columns[each.name]
            values = _values(each.name, answers, (*classes, *sorted(others)))
            shape = [len(answers), output.width] if output.width else [len(answers)]
            about: dict[str, Any] = {"name": each.name, "datatype": output.datatype, "shape": shape}
            parameters = dict(output.parameters or {})
            if each.parameters.get("binary_data", asked.parameters.get("binary_data_output", False)):
                tail.append(binary(output.datatype, values))
                parameters["binary_data_size"] = len(tail[-1])
            else:
                about["data"] = values
            outputs.append({**about, **({"parameters": parameters} if parameters else {})})
        said: dict[str, Any] = {"model_name": self._name, "model_version": self._answered_by(answers)}
        if asked.id is not None:
            said["id"] = asked.id
        head = msgspec.json.encode({**said, "outputs": outputs})
        if not tail:
            return 200, JSON, head
        length = (HEADER_LENGTH, b"%d" % len(head))
        return 200, ((b"content-type", b"application/octet-stream"), length), b"".join([head, *tail])

    def _answered_by(self, answers: list[Answer]) -> str:
        """The release that answered; the live one where several did, and the output `release` says which."""
        releases = {answer.release for answer in answers}
        return releases.pop() if len(releases) == 1 else self._version() or ""


def _values(name: str, answers: list[Answer], classes: tuple[str, ...]) -> list[Any]:
    """An output's values, row by row; in binary a value that an answer has not got is NaN, and in JSON null."""
    if name == "probabilities":
        return [(answer.probabilities or {}).get(label, 0.0) for answer in answers for label in classes]
    return [getattr(answer, name) for answer in answers]


def _split(request: Request) -> tuple[_Infer, memoryview]:
    """The JSON of an inference and the bytes behind it."""
    body = memoryview(request.body)
    said = request.headers.get(HEADER_LENGTH)
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise HttpError(415, "the body is compressed; send it as it is")
    if said is None:
        return _decode(_INFER, request.body), body[len(body) :]
    if not said.isdigit() or int(said) > len(body):
        raise HttpError(400, "Inference-Header-Content-Length: no length within the body")
    return _decode(_INFER, request.body[: int(said)]), body[int(said) :]


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise HttpError(400, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"the body is not JSON: {error}") from None


def _said(value: Any, status: int = 200) -> Response:
    return status, JSON, msgspec.json.encode(value)
