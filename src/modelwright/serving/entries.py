"""JSON bodies as entries of a job: what HTTP requests and the messages of a stream have in common.

Between a transport's bytes and the data plane's `work`. Knows no transport and answers nobody.
"""

from typing import Any

import msgspec

from modelwright.core.errors import ContractError
from modelwright.serving.events import Event
from modelwright.serving.limits import ROWS_LIMIT
from modelwright.serving.plane import Operation
from modelwright.serving.problems import HttpError, contract_error


class EntryReader:
    """Reads the bodies of one operation: a JSON object, or a list of them."""

    def __init__(self, operation: Operation) -> None:
        self.kind = operation.kind
        self._take = operation.take
        self._names = tuple(field.encode_name for field in msgspec.structs.fields(operation.body))
        self._one = msgspec.json.Decoder(operation.body)
        self._many = msgspec.json.Decoder(list[operation.body])  # type: ignore[name-defined]  # a type made at run time

    def decode(self, body: bytes, identity: str = "") -> tuple[list[Any], bool]:
        """The entries, and whether they came as a list. `identity` names an event that came without an id of its own.

        Raises HttpError 400 for what is not JSON and 413 for too many entries, ContractError naming field and entry.
        """
        many = body.lstrip()[:1] == b"["
        try:
            decoded = (self._many if many else self._one).decode(body)
        except msgspec.ValidationError as error:
            raise contract_error(error, self._names) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(400, f"the body is not JSON: {error}") from None
        entries = decoded if many else [decoded]
        if len(entries) > ROWS_LIMIT:
            raise HttpError(413, f"{len(entries)} entries; at most {ROWS_LIMIT} in one request")
        if not entries:
            raise ContractError("the list is empty; send at least one entry")
        taken = []
        for place, entry in enumerate(entries):
            try:
                one = self._take(entry)
            except ContractError as error:
                raise (ContractError(f"{error} (entry {place})", error.field) if many else error) from None
            if identity and isinstance(one, Event) and not one.named:
                one.id = f"{identity}-{place}" if many else identity
            taken.append(one)
        return taken, many
