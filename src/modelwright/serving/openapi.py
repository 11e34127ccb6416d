"""The OpenAPI description of a system's routes, from its contract."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from modelwright import __version__
from modelwright.serving.messages import Accepted, Answer, OutcomeBody
from modelwright.serving.problems import Problem
from modelwright.spec.contract import Contract


def openapi(
    name: str,
    contract: Contract,
    others: Sequence[Contract] = (),
    further: Mapping[str, Any] | None = None,
    *,
    told: bool = True,
    logged: bool = True,
) -> dict[str, Any]:
    """OpenAPI 3.1, as a dictionary. `others` are the other events whose history is taken; `further` the paths of other
    protocols; `told`: outcomes are told, not read from later events; `logged`: there is a log, which takes them."""
    structs = [contract.struct(), *(other.struct() for other in others)]
    (answer, accepted, outcome, problem, event, *of_others), parts = msgspec.json.schema_components(
        [Answer, Accepted, OutcomeBody, Problem, *structs], ref_template="#/components/schemas/{name}"
    )

    def one_or_many(schema: dict[str, Any]) -> dict[str, Any]:
        return {"oneOf": [schema, {"type": "array", "items": schema}]}

    def post(summary: str, body: dict[str, Any], answered: dict[str, Any], *statuses: int) -> dict[str, Any]:
        responses: dict[str, Any] = {
            "200": {"description": "Done", "content": {"application/json": {"schema": one_or_many(answered)}}}
        }
        for status in (400, 413, 422, 503, *statuses):
            responses[str(status)] = {
                "description": "Problem",
                "content": {"application/problem+json": {"schema": problem}},
            }
        content = {"application/json": {"schema": one_or_many(body)}}
        return {
            "post": {"summary": summary, "requestBody": {"required": True, "content": content}, "responses": responses}
        }

    def get(summary: str) -> dict[str, Any]:
        return {
            "get": {
                "summary": summary,
                "responses": {"200": {"description": "OK"}, "503": {"description": "Not ready"}},
            }
        }

    if logged:
        taken = {
            "/predict": post("Predict one event or a list, and log them", event, answer, 409),
            "/events": post("Log events without a prediction", event, accepted, 409),
            **{
                f"/events/{other.name}": post(f"Log rows of {other.name}, history for predictions", body, accepted, 409)
                for other, body in zip(others, of_others, strict=True)
            },
            **({"/outcomes": post("Tell what became of events", outcome, accepted, 404)} if told else {}),
        }
    else:
        taken = {"/predict": post("Predict one event or a list; nothing is logged", event, answer)}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": __version__, "description": contract.description},
        "paths": {
            **taken,
            "/healthz": get("Is the process alive"),
            "/readyz": get("Can it answer, and with which release"),
            "/metrics": get("Prometheus metrics"),
            "/openapi.json": get("This description"),
            **(further or {}),
        },
        "components": {"schemas": parts},
    }
