"""Bodies of the cloud containers' contracts as rows by column name: JSON with a member that says the form, JSON lines, CSV.

Between `invocations` and `rows`. Knows the contract's columns and their order, and checks no value: `RowReader` does.
"""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from modelwright.core.clock import from_us
from modelwright.core.errors import ContractError
from modelwright.ingest.cells import PARSE
from modelwright.serving.problems import HttpError, contract_error
from modelwright.serving.rows import RowReader, check_count
from modelwright.spec.contract import Contract

JSON_TYPE, LINES_TYPE, CSV_TYPE = "application/json", "application/jsonlines", "text/csv"
TYPES = {
    JSON_TYPE: JSON_TYPE,
    **dict.fromkeys((LINES_TYPE, "application/x-jsonlines", "application/jsonl", "application/x-ndjson"), LINES_TYPE),
    CSV_TYPE: CSV_TYPE,
}
"""Content types that are taken and given, and what they are."""
Row = dict[str, Any]


class MediaType(NamedTuple):
    """A content type and its parameters, in lower case."""

    name: str
    parameters: dict[str, str]


def media_type(said: str) -> MediaType:
    """A content type as a header has it.

    >>> media_type("Text/CSV; header=absent")
    MediaType(name='text/csv', parameters={'header': 'absent'})
    """
    name, *parameters = (part.strip() for part in said.lower().split(";"))
    pairs = (each.partition("=") for each in parameters)
    return MediaType(name, {key.strip(): value.strip().strip('"') for key, _, value in pairs})


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    """A data frame as pandas writes it with orient="split"."""

    data: list[list[Any]]
    columns: list[str] | None = None
    index: Any = None


Given = _Split | dict[str, Any] | list[Any]


class _Invocation(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of /invocations: one of the first four says the rows."""

    instances: list[Any] | UnsetType = UNSET
    inputs: dict[str, Any] | list[Any] | UnsetType = UNSET
    dataframe_split: _Split | UnsetType = UNSET
    dataframe_records: list[dict[str, Any]] | UnsetType = UNSET
    parameters: dict[str, Any] | None = None
    params: dict[str, Any] | None = None


class _Score(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of /score: one of the first two says the rows."""

    input_data: dict[str, Any] | list[Any] | UnsetType = UNSET
    data: list[Any] | UnsetType = UNSET
    params: dict[str, Any] | None = None


_LINE = msgspec.json.Decoder(dict[str, Any] | list[Any])


class BodyReader:
    """Makes rows of bodies. A row without names has all columns in the contract's order, or all but those that are made
    where they are missing: the id and the time."""

    def __init__(self, contract: Contract, rows: RowReader) -> None:
        self._made = rows.made
        self._fields = {field.name: field for field in contract.fields}
        self._names = {*contract.names, *(() if rows.id is None else (rows.id,))}
        told = tuple(name for name in contract.names if name not in self._made)
        self._orders = {len(contract.names): contract.names, len(told): told}
        self._invocation = msgspec.json.Decoder(_Invocation)
        self._score = msgspec.json.Decoder(_Score)

    def invocation(self, kind: MediaType, body: bytes) -> list[Row]:
        """The rows of a body of /invocations."""
        if kind.name == CSV_TYPE:
            return self._of_csv(kind, body)
        if kind.name == LINES_TYPE:
            return self._of_lines(body)
        asked: _Invocation = _decoded(self._invocation, body)
        return self._rows(asked, ("instances", "inputs", "dataframe_split", "dataframe_records"))

    def score(self, body: bytes) -> list[Row]:
        """The rows of a body of /score."""
        return self._rows(_decoded(self._score, body), ("input_data", "data"))

    def _rows(self, asked: msgspec.Struct, members: tuple[str, ...]) -> list[Row]:
        """The rows of the one member that says them."""
        for name in ("parameters", "params"):
            if getattr(asked, name, None):
                raise ContractError(f"{name}: nothing can be asked of this model but predictions; leave it out", name)
        said = [name for name in members if getattr(asked, name) is not UNSET]
        if len(said) != 1:
            raise ContractError(f"{' and '.join(said) or 'no rows'}: give the rows as one of {', '.join(members)}")
        return self._of_given(said[0], getattr(asked, said[0]))

    def _of_given(self, member: str, given: Given) -> list[Row]:
        if isinstance(given, dict) and "data" in given and given.keys() <= {"columns", "index", "data"}:
            try:
                given = msgspec.convert(given, _Split)
            except msgspec.ValidationError as error:
                raise contract_error(error) from None
        if isinstance(given, _Split):
            check_count(len(given.data))
            if given.columns is None:
                return [self._in_order(values) for values in given.data]
            names = given.columns
            self._check_names(names)
            return [_named(names, values) for values in given.data]
        if isinstance(given, dict):
            return _of_columns(given)
        check_count(len(given))
        return [self._row(member, one) for one in given]

    def _row(self, member: str, one: Any) -> Row:
        """An object of columns, a list in the contract's order, or such a list as the one member `features`."""
        if isinstance(one, dict):
            values = one.get("features")
            if len(one) == 1 and isinstance(values, list) and "features" not in self._names:
                return self._in_order(values)
            return one
        if isinstance(one, list):
            return self._in_order(one)
        raise ContractError(f"{member}: a row is an object of columns, or a list of their values")

    def _in_order(self, values: list[Any]) -> Row:
        names = self._orders.get(len(values))
        if names is None:
            orders = " or ".join(f"{count} ({', '.join(names)})" for count, names in self._orders.items())
            raise ContractError(f"a row of {len(values)} values without names; the columns are {orders}")
        return dict(zip(names, values, strict=True))

    def _check_names(self, names: list[str]) -> None:
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ContractError(f"{twice}: twice among the columns", twice)

    def _of_lines(self, body: bytes) -> list[Row]:
        try:
            lines = _LINE.decode_lines(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(400, f"a line of the body is no JSON object or list: {error}") from None
        check_count(len(lines))
        return [self._row("a line", line) for line in lines]

    # CSV, as RFC 4180 has it; the parameter `header` of the content type may say whether the first line names columns.

    def _of_csv(self, kind: MediaType, body: bytes) -> list[Row]:
        header = kind.parameters.get("header")
        if header not in (None, "present", "absent"):
            raise HttpError(415, f"text/csv; header={header}: it is present or absent")
        names: list[str] | None = None
        rows: list[Row] = []
        for place, cells in enumerate(_lines(body)):
            if place == 0 and (header == "present" or (header is None and self._names_columns(cells))):
                names = [cell.strip() for cell in cells]
                self._check_names(names)
            elif cells:
                row = self._in_order(cells) if names is None else _named(names, cells)
                rows.append(self._valued(row, len(rows)))
        return rows

    def _names_columns(self, cells: list[str]) -> bool:
        """Whether a first line is a header: more than half of it are names of columns."""
        return len(self._names.intersection(map(str.strip, cells))) * 2 > len(cells)

    def _valued(self, row: Row, place: int) -> Row:
        """A row's cells as values; an empty one is a value that is missing, unless a text must be there."""
        valued: Row = {}
        for name, cell in row.items():
            field = self._fields.get(name)
            if field is None:
                valued[name] = cell
                continue
            kind = field.kind
            text = cell if kind == "str" else cell.strip()
            if text or (kind == "str" and not field.nullable and name not in self._made):
                try:
                    value = PARSE[kind](text)
                    valued[name] = from_us(value) if kind == "time" else value
                except OverflowError:
                    raise ContractError(f"{name}: an instant outside the years 1 to 9999 (row {place})", name) from None
                except ValueError as error:
                    raise ContractError(f"{name}: {error} (row {place})", name) from None
            elif not field.has_default and name not in self._made:
                valued[name] = None
        return valued


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise contract_error(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if b"NaN" not in body and b"Infinity" not in body:
            raise HttpError(400, f"the body is not JSON: {error}") from None
    # Python's own writer, and so MLflow's client, says NaN where a value is missing.
    try:
        return msgspec.convert(json.loads(body), decoder.type)
    except msgspec.ValidationError as error:
        raise contract_error(error) from None
    except (ValueError, RecursionError) as error:
        raise HttpError(400, f"the body is not JSON: {error}") from None


def _of_columns(columns: dict[str, Any]) -> list[Row]:
    """The rows of an object of columns; of values that are no lists, one row."""
    lists = [name for name, values in columns.items() if isinstance(values, list)]
    if not lists:
        return [columns] if columns else []
    lengths = {name: len(values) if isinstance(values, list) else None for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ContractError(f"the columns have different numbers of rows: {lengths}")
    check_count(len(columns[lists[0]]))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _named(names: list[str], values: list[Any]) -> Row:
    if len(names) != len(values):
        raise ContractError(f"a row of {len(values)} values under {len(names)} columns")
    return dict(zip(names, values, strict=True))


def _lines(body: bytes) -> Iterable[list[str]]:
    try:
        text = body.decode()
        for place, cells in enumerate(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)):
            check_count(place)  # blank lines too
            yield cells
    except UnicodeDecodeError:
        raise HttpError(400, "the body is not UTF-8") from None
    except csv.Error as error:
        raise HttpError(400, f"the body is not CSV: {error}") from None
