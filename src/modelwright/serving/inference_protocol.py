"""The Open Inference Protocol, version 2, over REST: health, metadata, inference, the repository's index.

An inference is an event like any other: with a log, its history is read and it is durable before it is answered. What the
protocol asks of the model is `inference`'s.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from modelwright import __version__
from modelwright.serving.dialect import Asked, Headers, Request, Response
from modelwright.serving.inference import Inference
from modelwright.serving.plane import Plane
from modelwright.serving.problems import HttpError, Problem
from modelwright.serving.schemas import BY_KEY, JSON_TYPE, Schemas, members
from modelwright.serving.tensors import TAKEN, Tensor, binary

JSON: Headers = ((b"content-type", b"application/json"),)
HEADER_LENGTH = b"inference-header-content-length"
DIGITS = 20
"""Of the longest length that is read: Python refuses to read thousands of them."""
_MODEL = "/v2/models/{name}"
_NAMED = r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?"


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


Worker = Callable[[Request], Response | Asked]
_INFER = msgspec.json.Decoder(_Infer)
_INDEX = msgspec.json.Decoder(_Index)


class InferenceProtocol:
    """The routes under /v2 for one model, named `name`."""

    def __init__(self, plane: Plane, name: str) -> None:
        self._model = Inference(plane, name)
        self._logged = plane.events() is not None
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

    def describe(self, schemas: Schemas) -> dict[str, Any]:
        """The routes of the model without a version; those with the live one's are the same."""
        model = f"/v2/models/{self._model.name}"
        anything = {JSON_TYPE: {"type": "object"}}
        error = {JSON_TYPE: members(["error"], error={"type": "string"})}
        # Which data a shape and a datatype go with is no matter of a schema.
        tensors = [
            members(
                ["name", "shape", "datatype"],
                name={"const": name},
                shape={"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
                datatype={"enum": sorted(TAKEN[field.kind])},
                parameters=members([], binary_data_size={"type": "integer", "minimum": 0}),
                data={"type": "array"},
            )
            for name, field in self._model.fields.items()
        ]
        output = members(["name"], name={"type": "string"}, parameters=members([], binary_data={"type": "boolean"}))
        asked = members(
            ["inputs"],
            id={"type": ["string", "null"]},
            inputs={"type": "array", "items": {"oneOf": tensors}},
            outputs={"type": "array", "items": output},
            parameters=members([], id={"type": "string"}, binary_data_output={"type": "boolean"}),
        )
        answered = {
            "type": "object",
            "properties": {
                "model_name": {"const": self._model.name},
                "model_version": {"type": "string"},
                "id": {"type": "string"},
                "outputs": {"type": "array", "items": {"type": "object", "required": ["name", "datatype", "shape"]}},
            },
            "required": ["model_name", "model_version", "outputs"],
        }
        binary = {"application/octet-stream": {"type": "string", "format": "binary"}}
        return {
            "/v2": schemas.get("Open Inference Protocol: the server", anything),
            "/v2/health/live": schemas.get("Open Inference Protocol: is the process alive", anything, ()),
            "/v2/health/ready": schemas.get("Open Inference Protocol: can it answer", anything, (503,)),
            model: schemas.get("Open Inference Protocol: inputs and outputs", anything),
            f"{model}/ready": schemas.get("Open Inference Protocol: is a release live", anything, (*BY_KEY, 503)),
            f"{model}/infer": schemas.post(
                f"Open Inference Protocol: predict rows, one tensor a column{', and log them' if self._logged else ''}",
                {JSON_TYPE: asked, **binary},
                {JSON_TYPE: answered, **binary},
                (409,) if self._logged else (),
                refused=error,
            ),
            "/v2/repository/index": schemas.post(
                "Open Inference Protocol: the models that are here",
                {JSON_TYPE: members([], ready={"type": "boolean"})},
                {JSON_TYPE: {"type": "array", "items": {"type": "object", "required": ["name", "state"]}}},
                refused=error,
            ),
        }

    def route(self, path: str) -> str | None:
        """The route's name where the path is under /v2."""
        if not (path == "/v2" or path.startswith("/v2/")):
            return None
        return next((route for pattern, _, route, _ in self._routes if pattern.fullmatch(path)), "/v2/other")

    def refusal(self, problem: Problem) -> tuple[Headers, bytes]:
        """An error object, as the protocol has it."""
        return JSON, msgspec.json.encode({"error": problem.detail})

    def begin(self, request: Request) -> Response | Asked:
        """Answer one request, or ask for predictions."""
        for pattern, method, _, work in self._routes:
            found = pattern.fullmatch(request.path)
            if found is not None:
                if request.method != method and (request.method, method) != ("HEAD", "GET"):
                    allow = method.encode()
                    raise HttpError(405, f"{request.path} takes {method}, not {request.method}", ((b"allow", allow),))
                named = found.groupdict()
                if "name" in named:
                    self._model.check(named["name"], named["version"])
                return work(request)
        raise HttpError(404, f"no route {request.path}; see /openapi.json")

    def _server(self, request: Request) -> Response:
        return _said({"name": "modelwright", "version": __version__, "extensions": ["binary_tensor_data"]})

    def _live(self, request: Request) -> Response:
        return _said({"live": True})

    def _ready(self, request: Request) -> Response:
        ready = self._model.version is not None
        return _said({"ready": ready}, 200 if ready else 503)

    def _model_ready(self, request: Request) -> Response:
        ready = self._model.version is not None
        return _said({"name": self._model.name, "ready": ready}, 200 if ready else 503)

    def _metadata(self, request: Request) -> Response:
        version = self._model.version
        inputs = [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in self._model.inputs.items()]
        outputs = [
            {
                "name": name,
                "datatype": output.datatype,
                "shape": output.shape,
                **({"parameters": output.parameters} if output.parameters else {}),
            }
            for name, output in self._model.outputs().items()
        ]
        versions = [] if version is None else [version]
        about = {"name": self._model.name, "versions": versions, "platform": "modelwright"}
        return _said({**about, "inputs": inputs, "outputs": outputs})

    def _index(self, request: Request) -> Response:
        asked = _decode(_INDEX, request.body) if request.body.strip() else _Index()
        return _said(self._model.index(ready=asked.ready))

    def _infer(self, request: Request) -> Asked:
        self._model.check_ready()
        asked, raw = _split(request)
        for name in asked.parameters.keys() - {"id", "binary_data_output"}:
            raise HttpError(400, f"parameters.{name} is not built; id and binary_data_output are")
        for wanted in asked.outputs:
            for name in wanted.parameters.keys() - {"binary_data"}:
                raise HttpError(400, f"outputs: {wanted.name}: parameters.{name} is not built; binary_data is")
        self._model.check_wanted([wanted.name for wanted in asked.outputs], self._model.outputs())
        return Asked(self._model.events(_tensors(asked, raw), asked.parameters), partial(self._respond, asked))

    def _respond(self, asked: _Infer, said: list[msgspec.Raw]) -> Response:
        release, columns = self._model.columns(said, [wanted.name for wanted in asked.outputs])
        always = asked.parameters.get("binary_data_output", False)
        outputs, tail = [], []
        for place, (name, output, values) in enumerate(columns):
            about: dict[str, Any] = {"name": name, "datatype": output.datatype, "shape": columns[place].shape()}
            parameters = dict(output.parameters or {})
            wanted = asked.outputs[place].parameters if asked.outputs else {}
            if wanted.get("binary_data", always):
                tail.append(binary(output.datatype, values))
                parameters["binary_data_size"] = len(tail[-1])
            else:
                about["data"] = values
            outputs.append({**about, **({"parameters": parameters} if parameters else {})})
        about_all: dict[str, Any] = {"model_name": self._model.name, "model_version": release}
        if asked.id is not None:
            about_all["id"] = asked.id
        head = msgspec.json.encode({**about_all, "outputs": outputs})
        if not tail:
            return 200, JSON, head
        length = (HEADER_LENGTH, b"%d" % len(head))
        return 200, ((b"content-type", b"application/octet-stream"), length), b"".join([head, *tail])


def _tensors(asked: _Infer, raw: memoryview) -> Iterator[tuple[Tensor, memoryview | None]]:
    """The inputs, each with its part of the bytes behind the JSON."""
    place = 0
    for tensor in asked.inputs:
        for name in tensor.parameters.keys() - {"binary_data_size"}:
            raise HttpError(400, f"{tensor.name}: parameters.{name} is not built; binary_data_size is")
        size = tensor.parameters.get("binary_data_size")
        part = None
        if size is not None:
            if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(raw) - place:
                raise HttpError(400, f"{tensor.name}: binary_data_size {size!r}; {len(raw) - place} bytes are left")
            part = raw[place : place + size]
            place += size
        yield tensor, part
    if place != len(raw):
        raise HttpError(400, f"{len(raw) - place} bytes more than the inputs' binary_data_size")


def _split(request: Request) -> tuple[_Infer, memoryview]:
    """The JSON of an inference and the bytes behind it."""
    body = memoryview(request.body)
    said = request.headers.get(HEADER_LENGTH)
    if said is None:
        return _decode(_INFER, request.body), body[len(body) :]
    if not said.isdigit() or len(said) > DIGITS or int(said) > len(body):
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
