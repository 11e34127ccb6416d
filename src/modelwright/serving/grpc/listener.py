"""All of gRPC that a server needs: what its second port's connections are made of."""

import asyncio
from typing import Any

from modelwright.serving.grpc.calls import Calls
from modelwright.serving.grpc.health import HealthService
from modelwright.serving.grpc.http2 import Http2Connection
from modelwright.serving.grpc.inference_service import InferenceService
from modelwright.serving.grpc.reflection import ReflectionService
from modelwright.serving.grpc.schema import Schema
from modelwright.serving.http import HttpApp
from modelwright.serving.inference import Inference


class GrpcListener:
    """Makes connections for one application's model; `check_installed` comes before."""

    def __init__(self, app: HttpApp) -> None:
        schema = Schema()
        model = Inference(app.plane, app.name)
        services = (InferenceService(app, model, schema), HealthService(model, schema), ReflectionService(schema))
        self._app = app
        self._calls = Calls(app, {path: method for service in services for path, method in service.methods.items()})

    def connection(self, connections: set[Any]) -> asyncio.Protocol:
        """A new connection, which will be in the set while it is open; beyond the most that may be, it is closed again."""
        most = self._app.most_connections
        return Http2Connection(self._calls, connections, self._app.limits, lambda: len(connections) > most)
