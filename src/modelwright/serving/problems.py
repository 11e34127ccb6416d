"""Errors as RFC 9457 problem JSON: the one table from our errors to HTTP status codes, and from those to gRPC's."""

from collections.abc import Iterable

import msgspec

from modelwright.core.errors import (
    ConflictError,
    ContractError,
    ModelwrightError,
    NoRoomError,
    ReleaseError,
    UnavailableError,
    UnknownEventError,
    WorkspaceError,
)

PROBLEM = ((b"content-type", b"application/problem+json"),)
"""The headers of every error answer that is a problem."""


class HttpError(Exception):
    """What goes wrong before there is a value to work on: not JSON, too large, no such route."""

    def __init__(self, status: int, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


STATUS: dict[type[ModelwrightError], int] = {
    ContractError: 422,
    ConflictError: 409,
    UnknownEventError: 404,
    UnavailableError: 503,
    ReleaseError: 503,
    WorkspaceError: 503,
}
TITLE = {
    400: "Not JSON",
    401: "No key",
    403: "Not with this key",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported content",
    422: "Against the contract",
    429: "Too often",
    431: "Too large",
    500: "Internal error",
    503: "Unavailable",
}


GRPC_CODE = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    408: 4,  # DEADLINE_EXCEEDED
    409: 6,  # ALREADY_EXISTS
    413: 8,  # RESOURCE_EXHAUSTED
    415: 12,  # UNIMPLEMENTED
    422: 3,  # INVALID_ARGUMENT
    429: 8,  # RESOURCE_EXHAUSTED
    500: 13,  # INTERNAL
    503: 14,  # UNAVAILABLE
}
"""What gRPC calls each of them."""


class Problem(msgspec.Struct, omit_defaults=True):
    """The body of every error answer."""

    title: str
    status: int
    detail: str
    field: str = ""
    type: str = "about:blank"


DETAIL_LIMIT = 500
"""Characters of a detail: what a client sent is quoted, and may be long."""
NAME_LIMIT = 100
"""Characters of a name that a nearest one is looked for."""


def problem_of(error: BaseException) -> Problem:
    """What a client is told: never a trace, never a path of this machine."""
    if isinstance(error, HttpError):
        return Problem(TITLE.get(error.status, "Error"), error.status, _short(str(error)))
    if isinstance(error, NoRoomError):
        return Problem(TITLE[503], 503, "the server's disk is full and nothing of this was kept; send it again later")
    if isinstance(error, WorkspaceError):  # its message names folders
        return Problem(TITLE[503], 503, "the log cannot be used at the moment; the server's own messages say why")
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            return Problem(TITLE[status], status, _short(str(error)), _short(getattr(error, "field", "")))
    return Problem(TITLE[500], 500, "the request could not be worked on; the server's own messages say why")


def _short(text: str) -> str:
    if len(text) <= DETAIL_LIMIT:
        return text
    return f"{text[: DETAIL_LIMIT // 2]} ... {text[-DETAIL_LIMIT // 2 :]}"


def nearest(name: str, names: Iterable[str]) -> str:
    """What to say to whoever wrote a name that is none of these.

    >>> nearest("amuont", ["amount", "country"]), nearest("x", ["amount", "country"])
    ('did you mean amount?', 'there are amount, country')
    """
    import difflib  # only where somebody is wrong

    known = list(names)
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.7) if len(name) <= NAME_LIMIT else []
    return f"did you mean {found[0]}?" if found else f"there are {', '.join(known)}"


def contract_error(error: msgspec.ValidationError, names: Iterable[str] = ()) -> ContractError:
    """msgspec's message with the field's name in front; `names` are those that may be given, for whoever gave another.

    >>> problem_of(contract_error(msgspec.ValidationError("Expected `float` > 0.0 - at `$.amount`"))).field
    'amount'
    """
    text = str(error)
    said, _, where = text.partition(" - at `$")
    path = where.rstrip("`").strip(".")
    field = path.partition(".")[2] if path.startswith("[") else path
    if "missing required field" in said or "unknown field" in said:
        field = said.rsplit("`", 2)[-2]
        if "unknown field" in said and names:
            said = f"no such field; {nearest(field, names)}"
    place = f" (entry {path[1 : path.index(']')]})" if path.startswith("[") else ""
    return ContractError(f"{field}: {said}{place}" if field else f"{said}{place}", field)
