"""`inference.GRPCInferenceService`: the Open Inference Protocol's messages, and the model behind them.

Beside `serving.inference_protocol`, which says the same over REST; both ask `serving.inference`. Contents may be typed or
raw; the answer is raw where the request was.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from modelwright import __version__
from modelwright.serving.grpc.calls import Call, Method
from modelwright.serving.grpc.schema import Schema
from modelwright.serving.http import HttpApp
from modelwright.serving.inference import Column, Inference
from modelwright.serving.problems import HttpError
from modelwright.serving.tensors import Tensor, binary

SERVICE = "inference.GRPCInferenceService"
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where the values of a datatype stand in typed contents; others are taken raw."""


class InferenceService:
    """The methods for one model."""

    def __init__(self, app: HttpApp, model: Inference, schema: Schema) -> None:
        self._app = app
        self._model = model
        works = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server,
            "ModelMetadata": self._metadata,
            "ModelInfer": self._infer,
            "RepositoryIndex": self._index,
        }
        self._answer = {name: schema.message(f"inference.{name}Response") for name in works}
        self.methods = {
            f"/{SERVICE}/{name}": Method(schema.message(f"inference.{name}Request"), work)
            for name, work in works.items()
        }

    def _live(self, call: Call, asked: Any) -> None:
        call.answer(self._answer["ServerLive"](live=True))

    def _ready(self, call: Call, asked: Any) -> None:
        call.answer(self._answer["ServerReady"](ready=self._model.version is not None))

    def _model_ready(self, call: Call, asked: Any) -> None:
        model = self._model
        here = asked.name == model.name and asked.version in ("", model.version)
        call.answer(self._answer["ModelReady"](ready=here and model.version is not None))

    def _server(self, call: Call, asked: Any) -> None:
        call.answer(self._answer["ServerMetadata"](name="modelwright", version=__version__))

    def _metadata(self, call: Call, asked: Any) -> None:
        model = self._model
        model.check(asked.name, asked.version or None)
        call.answer(
            self._answer["ModelMetadata"](
                name=model.name,
                versions=[model.version] if model.version is not None else [],
                platform="modelwright",
                inputs=[{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in model.inputs.items()],
                outputs=[
                    {"name": name, "datatype": output.datatype, "shape": output.shape}
                    for name, output in model.outputs().items()
                ],
            )
        )

    def _index(self, call: Call, asked: Any) -> None:
        call.answer(self._answer["RepositoryIndex"](models=self._model.index(ready=asked.ready)))

    def _infer(self, call: Call, asked: Any) -> None:
        model = self._model
        model.check(asked.model_name, asked.model_version or None)
        model.check_ready()
        parameters = {name: _value(value) for name, value in asked.parameters.items()} if asked.parameters else {}
        for name in parameters.keys() - {"id"}:
            raise HttpError(400, f"parameters.{name} is not built; id is")
        wanted = [output.name for output in asked.outputs]
        for output in asked.outputs:
            for name in output.parameters:
                raise HttpError(400, f"outputs: {output.name}: parameters.{name} is not built")
        if wanted:
            model.check_wanted(wanted, model.outputs())
        events = model.events(_tensors(asked), parameters)
        raw = bool(asked.raw_input_contents)
        done = partial(self._inferred, call, asked.id, wanted, raw)
        self._app.in_flight.work_off(("predict", events), done, call.began, call.traced)

    def _inferred(self, call: Call, id: str, wanted: list[str], raw: bool, said: Any) -> None:
        if isinstance(said, Exception):
            call.fail(said)
            return
        if call.over:
            return
        try:
            release, columns = self._model.columns(said, wanted)
            answer = self._answer["ModelInfer"](model_name=self._model.name, model_version=release, id=id)
            for column in columns:
                self._add(answer, column, raw=raw)
        except Exception as error:
            call.fail(error)
            return
        call.answer(answer)

    @staticmethod
    def _add(answer: Any, column: Column, *, raw: bool) -> None:
        name, output, values = column
        added = answer.outputs.add(name=name, datatype=output.datatype, shape=column.shape())
        for key, value in (output.parameters or {}).items():
            added.parameters[key].string_param = value
        if raw:
            answer.raw_output_contents.append(binary(output.datatype, values))
        elif output.datatype == "BYTES":
            added.contents.bytes_contents.extend([value.encode() for value in values])
        else:
            kept = [float("nan") if value is None else value for value in values]
            getattr(added.contents, _CONTENTS[output.datatype]).extend(kept)


def _tensors(asked: Any) -> Iterator[tuple[Tensor, memoryview | None]]:
    """The inputs with their contents: raw, of all of them, or typed."""
    raw = asked.raw_input_contents
    if raw and len(raw) != len(asked.inputs):
        raise HttpError(400, f"{len(raw)} raw_input_contents for {len(asked.inputs)} inputs; send one for each")
    for place, given in enumerate(asked.inputs):
        if given.parameters:
            raise HttpError(400, f"{given.name}: parameters.{next(iter(given.parameters))} is not built")
        name, datatype, shape = given.name, given.datatype, list(given.shape)
        if raw:
            if given.HasField("contents"):
                raise HttpError(400, f"{name}: both contents and raw_input_contents; send one of them")
            yield Tensor(name, shape, datatype), memoryview(raw[place])
        else:
            yield Tensor(name, shape, datatype, data=_contents(given, datatype)), None


def _contents(given: Any, datatype: str) -> list[Any]:
    """The typed contents of a tensor: in the field of its datatype, and in no other."""
    expected = _CONTENTS.get(datatype, "raw_input_contents")
    for field, _ in given.contents.ListFields():
        if field.name != expected:
            raise HttpError(400, f"{given.name}: {field.name} of a tensor of {datatype}; send {expected}")
    if datatype not in _CONTENTS:
        return []
    values = list(getattr(given.contents, expected))
    if datatype != "BYTES":
        return values
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        raise HttpError(400, f"{given.name}: a text that is not UTF-8") from None


def _value(parameter: Any) -> Any:
    chosen = parameter.WhichOneof("parameter_choice")
    return None if chosen is None else getattr(parameter, chosen)
