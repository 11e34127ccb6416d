"""`grpc.health.v1.Health`: whether the server and its model can answer, asked once or watched.

Reference: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from typing import Any

from modelwright.serving.grpc.calls import Call, Method
from modelwright.serving.grpc.inference_service import SERVICE
from modelwright.serving.grpc.schema import Schema
from modelwright.serving.inference import Inference
from modelwright.serving.problems import HttpError

LOOK_S = 0.5
"""How often a watched state is looked at."""
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class HealthService:
    """Its services are the server (no name), the inference service and the model, by their names: all can answer while a
    release is live."""

    def __init__(self, model: Inference, schema: Schema) -> None:
        request = schema.message("grpc.health.v1.HealthCheckRequest")
        self._model = model
        self._answer = schema.message("grpc.health.v1.HealthCheckResponse")
        self._watched: dict[Call, tuple[str, int]] = {}
        self.methods = {
            "/grpc.health.v1.Health/Check": Method(request, self._check),
            "/grpc.health.v1.Health/Watch": Method(request, self._watch, stream=True, lasting=True),
        }

    def _state(self, service: str) -> int:
        if service not in ("", SERVICE, self._model.name):
            return SERVICE_UNKNOWN
        return NOT_SERVING if self._model.version is None else SERVING

    def _check(self, call: Call, asked: Any) -> None:
        state = self._state(asked.service)
        if state == SERVICE_UNKNOWN:
            raise HttpError(404, f"no service {asked.service!r} here; there are {SERVICE} and {self._model.name}")
        call.answer(self._answer(status=state))

    def _watch(self, call: Call, asked: Any) -> None:
        if call in self._watched:
            raise HttpError(400, "more than one message; send a call for each")
        state = self._state(asked.service)
        call.answer(self._answer(status=state))
        if not self._watched:
            asyncio.get_running_loop().call_later(LOOK_S, self._look)
        self._watched[call] = asked.service, state

    def _look(self) -> None:
        """Tell who watches what has changed."""
        self._watched = {call: watched for call, watched in self._watched.items() if not call.over}
        for call, (service, before) in self._watched.items():
            state = self._state(service)
            if state != before:
                self._watched[call] = service, state
                call.answer(self._answer(status=state))
        if self._watched:
            asyncio.get_running_loop().call_later(LOOK_S, self._look)
