"""The OpenAPI description of a server's routes, from its contract and the protocols it speaks."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright import __version__
from modelwright.serving.dialect import Dialect
from modelwright.serving.keys import OPEN, scope_of
from modelwright.serving.plane import Plane
from modelwright.serving.schemas import JSON_TYPE, Schemas, members, one_or_many

KEYS: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer mw_..."},
    "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "password": {"type": "http", "scheme": "basic", "description": "The key as the password, any user; for browsers"},
}
"""The ways to show a key."""
_TEXT = {"type": ["string", "null"]}
_READY = {
    "type": "object",
    "properties": {
        "ready": {"type": "boolean"},
        "system": {"type": "string"},
        **dict.fromkeys(("release", "challenger", "trained_until"), _TEXT),
        "share": {"type": "number", "description": "Of the answers, the challenger's"},
        "events": {"type": ["integer", "null"]},
        "notes": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["ready", "system", "release", "events", "notes"],
}


def openapi(
    name: str,
    plane: Plane,
    dialects: Sequence[Dialect] = (),
    aliases: Mapping[str, str] | None = None,
    *,
    closed: bool = False,
) -> dict[str, Any]:
    """OpenAPI 3.1, as a dictionary. `aliases` are paths that stand for others; `closed`: keys are needed now."""
    schemas = Schemas(plane.contract, plane.label, plane.others)
    paths = {**_taken(plane, schemas), **_told(schemas)}
    for dialect in dialects:
        paths |= dialect.describe(schemas)
    paths |= {alias: paths[path] for alias, path in (aliases or {}).items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": __version__, "description": plane.contract.description},
        "paths": {path: _secured((aliases or {}).get(path, path), methods) for path, methods in paths.items()},
        "components": {"schemas": schemas.components, "securitySchemes": KEYS},
        **({"security": [{way: []} for way in KEYS]} if closed else {}),
    }


def _taken(plane: Plane, schemas: Schemas) -> dict[str, Any]:
    """The routes to the data plane."""

    def post(summary: str, body: dict[str, Any], answered: dict[str, Any], *statuses: int) -> dict[str, Any]:
        taken, given = {JSON_TYPE: one_or_many(body)}, {JSON_TYPE: one_or_many(answered)}
        return schemas.post(summary, taken, given, statuses)

    if plane.events() is None:
        return {"/predict": post("Predict one event or a list; nothing is logged", schemas.event, schemas.answer)}
    return {
        "/predict": post("Predict one event or a list, and log them", schemas.event, schemas.answer, 409),
        "/events": post("Log events without a prediction", schemas.event, schemas.accepted, 409),
        **{
            f"/events/{other.name}": post(
                f"Log rows of {other.name}, history for predictions", body, schemas.accepted, 409
            )
            for other, body in zip(plane.others, schemas.others, strict=True)
        },
        **(
            {"/outcomes": post("Tell what became of events", schemas.outcome, schemas.accepted, 404)}
            if plane.label.ahead is None
            else {}
        ),
    }


def _told(schemas: Schemas) -> dict[str, Any]:
    """The routes that tell of the server."""
    text, page = {"type": "string"}, {"type": "object"}
    return {
        "/healthz": schemas.get("Is the process alive", {JSON_TYPE: members(["alive"], alive={"const": True})}, ()),
        "/readyz": schemas.get("Can it answer, and with which release", {JSON_TYPE: _READY}, (503,)),
        "/metrics": schemas.get("Prometheus metrics", {"text/plain": text}),
        "/openapi.json": schemas.get("This description", {JSON_TYPE: page}),
        "/docs": schemas.get("How to call this system, for people", {"text/html": text}),
    }


def _secured(path: str, methods: dict[str, Any]) -> dict[str, Any]:
    """The route with what its key must be for."""
    if path in OPEN:
        return {method: {**what, "security": []} for method, what in methods.items()}
    scope = scope_of(path)
    needed = f"With API keys: one for {scope}." if scope else "With API keys: any."
    return {method: {**what, "description": needed} for method, what in methods.items()}
