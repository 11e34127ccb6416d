"""Traces for OpenTelemetry: a server span a request, a child a stage, in the trace the client began.

Configured by OpenTelemetry's own environment variables and by nothing else: there are traces where
`OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) is set. Nothing of OpenTelemetry is imported otherwise. Spans are
made when a request is answered, from moments that were noted on its way, and sent by a thread in batches: a collector that is
slow or gone costs spans, never answers.

Names and attributes are those of the semantic conventions for HTTP servers,
https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
"""

import importlib.util
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from modelwright.core.errors import MissingExtraError, UsageError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"})
LIBRARIES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
CLOSE_S = 5.0
"""How long a server that ends waits for its last spans to be taken."""


class Span(msgspec.Struct, kw_only=True):
    """One answered request. `route` is empty for a path that is none; `stages` are (name, began, ended), `parent` the
    headers of the trace it continues. Instants in nanoseconds since the epoch."""

    method: str
    path: str
    route: str
    status: int
    id: str
    began_ns: int
    ended_ns: int
    stages: list[tuple[str, int, int]]
    parent: dict[str, str]


class Traces:
    """Makes spans of answered requests; `provider` is an OpenTelemetry `TracerProvider`, which this closes. `scheme`:
    http or https."""

    def __init__(self, provider: Any, scheme: str) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._provider = provider
        self._scheme = scheme
        self._tracer = provider.get_tracer("modelwright")
        self._extract = TraceContextTextMapPropagator().extract

    def record(self, span: Span) -> str:
        """The request's trace id, as 32 hexadecimal digits; its spans are sent if it is sampled."""
        method = span.method if span.method in METHODS else "HTTP"
        attributes: dict[str, Any] = {
            "http.request.method": span.method if span.method in METHODS else "_OTHER",
            "url.path": span.path,
            "url.scheme": self._scheme,
            "http.response.status_code": span.status,
            "http.response.header.x-request-id": [span.id],
        }
        if span.route:
            attributes["http.route"] = span.route
        if span.status >= 500:
            attributes["error.type"] = str(span.status)
        made = self._tracer.start_span(
            f"{method} {span.route}".rstrip(), self._extract(span.parent), kind=self._trace.SpanKind.SERVER,
            attributes=attributes, start_time=span.began_ns,
        )  # fmt: skip
        if made.is_recording():
            within = self._trace.set_span_in_context(made)
            for stage, began_ns, ended_ns in span.stages:
                self._tracer.start_span(stage, within, start_time=began_ns).end(ended_ns)
            if span.status >= 500:
                made.set_status(self._trace.StatusCode.ERROR)
        made.end(span.ended_ns)
        return self._trace.format_trace_id(made.get_span_context().trace_id)

    def close(self) -> None:
        """Send what waits, for at most `CLOSE_S`; what is not taken by then is lost."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


def asked_by(environment: Mapping[str, str]) -> str | None:
    """The variable that asks for traces; None where none does.

    Raises `MissingExtraError` where OpenTelemetry is not installed, `UsageError` for a protocol that is not built.
    """
    asked = next((name for name in ENDPOINTS if environment.get(name)), None)
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if asked is None or off or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    for name in PROTOCOLS:
        if environment.get(name, "http/protobuf") != "http/protobuf":
            raise UsageError(f"{name}={environment[name]}: traces are sent by http/protobuf alone; set it to that")
    if not all(map(_installed, LIBRARIES)):
        raise MissingExtraError(" and ".join(LIBRARIES), "otel", f"tracing ({asked} is set)")
    return asked


def _installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:
        return False


def traces_of(environment: Mapping[str, str], service: str, scheme: str = "http") -> Traces | None:
    """The traces that the environment asks for, under the service's name where it names none; None where it asks for
    none. Raises as `asked_by`."""
    if asked_by(environment) is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = environment.get("OTEL_SERVICE_NAME") or service
    # Closed by us, with a limit: its own hook at exit would wait for a collector that is gone.
    provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, scheme)
