"""The JSON schemas of what a server takes and gives, from the contract: what `openapi` and the dialects describe routes with."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from modelwright.serving.messages import Accepted, Answer, OutcomeBody
from modelwright.serving.problems import PROBLEM, TITLE, Problem
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec

Schema = dict[str, Any]
JSON_TYPE, PROBLEM_TYPE = "application/json", PROBLEM[0][1].decode()
BY_KEY = (401, 403, 429)
"""What a key, or its absence, may be answered with, on every path that needs one."""
POSTED = (400, *BY_KEY, 408, 413, 415, 422, 503)
"""What any request with a body may be answered with."""
_JSON_KIND = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}
_RETRY: Schema = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "string"}}}
_HEADERS: dict[int, Schema] = {
    401: {"WWW-Authenticate": {"description": "How a key is shown", "schema": {"type": "string"}}},
    429: _RETRY,
    503: _RETRY,
}


class Schemas:
    """References to the definitions in `components`. `row` is an event whose id and time may be left out, since other
    protocols' clients often know neither: both are made. `values` is such a row as a list in the contract's order."""

    def __init__(self, contract: Contract, label: LabelSpec, others: Sequence[Contract] = ()) -> None:
        structs = [contract.struct(), *(other.struct() for other in others)]
        (self.answer, self.accepted, self.outcome, self.problem, self.event, *self.others), self.components = (
            msgspec.json.schema_components(
                [Answer, Accepted, OutcomeBody, Problem, *structs], ref_template="#/components/schemas/{name}"
            )
        )
        outcome = self.components[_name(self.outcome)]["properties"]
        outcome["outcome"] = {"type": _JSON_KIND[label.kind]}
        _is_time(outcome["at"])
        for each, reference in zip((contract, *others), (self.event, *self.others), strict=True):
            for field in each.fields:
                if field.kind == "time":
                    _is_time(self.components[_name(reference)]["properties"][field.name])
        event = self.components[_name(self.event)]
        made = {contract.id, contract.time}
        required = [name for name in event.get("required", ()) if name not in made]
        name = f"{_name(self.event)}Row"
        self.components[name] = {**event, "title": name, "required": required}
        self.row = {"$ref": f"#/components/schemas/{name}"}
        orders = (contract.names, tuple(name for name in contract.names if name not in made))
        self.values = {"anyOf": [_in_order([event["properties"][name] for name in names]) for names in orders]}

    def post(
        self,
        summary: str,
        taken: dict[str, Schema],
        given: dict[str, Schema],
        statuses: Iterable[int] = (),
        *,
        refused: dict[str, Schema] | None = None,
    ) -> Schema:
        """A POST route: schemas of bodies taken and given by content type, and the statuses beside those of every such
        route. `refused`: how its protocol says what went wrong, where that is not problem JSON."""
        return {
            "post": {
                "summary": summary,
                "requestBody": {"required": True, "content": _content(taken)},
                "responses": {
                    "200": {"description": "Done", "content": _content(given)},
                    **self.refusals((*POSTED, *statuses), refused),
                },
            }
        }

    def get(self, summary: str, given: dict[str, Schema], statuses: Sequence[int] = BY_KEY) -> Schema:
        """A GET route: schemas of bodies given by content type, and the statuses beside 200. 503 has the body of 200."""
        told = {"200": {"description": "OK", **({"content": _content(given)} if given else {})}}
        if 503 in statuses:
            told["503"] = {**told["200"], "description": "Not ready"}
        refused = self.refusals(status for status in statuses if status != 503)
        return {"get": {"summary": summary, "responses": {**told, **refused}}}

    def refusals(self, statuses: Iterable[int], refused: dict[str, Schema] | None = None) -> Schema:
        """Responses that say what went wrong. A key's are always problem JSON, and so is what no protocol was asked."""
        problem = {PROBLEM_TYPE: self.problem}
        said = {}
        for status in sorted(statuses):
            by_server = refused is None or status in (*BY_KEY, 408)
            content = problem if by_server else {**(problem if status == 503 else {}), **(refused or {})}
            headers = {"headers": _HEADERS[status]} if status in _HEADERS else {}
            said[str(status)] = {"description": TITLE[status], **headers, "content": _content(content)}
        return said


def one_or_many(schema: Schema) -> Schema:
    """Of one, or of a list of them."""
    return {"oneOf": [schema, listed(schema)]}


def listed(schema: Schema) -> Schema:
    """Of a list of at least one."""
    return {"type": "array", "items": schema, "minItems": 1}


def members(required: Sequence[str], **properties: Schema) -> Schema:
    """Of an object with these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _in_order(schemas: list[Schema]) -> Schema:
    return {"type": "array", "prefixItems": schemas, "minItems": len(schemas), "maxItems": len(schemas)}


def _is_time(schema: Schema) -> None:
    """msgspec leaves the format out where a time without a zone is taken too."""
    for one in schema.get("anyOf", [schema]):
        if one["type"] == "string":
            one["format"] = "date-time"


def _content(schemas: dict[str, Schema]) -> Schema:
    return {kind: {"schema": schema} for kind, schema in schemas.items()}


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]
