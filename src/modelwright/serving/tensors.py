"""Tensors of the Open Inference Protocol as columns, and back: JSON data and binary data, little-endian.

A column of n rows is one tensor of shape [n] or [n, 1]. Texts are BYTES in UTF-8; a time is BYTES (ISO 8601) or INT64
(microseconds since the epoch). In JSON, null is a value that is missing; NaN is where data are binary.

Reference: the REST protocol and the binary tensor data extension, https://github.com/open-inference/open-inference-protocol
"""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from modelwright.core.clock import from_us
from modelwright.core.errors import ContractError
from modelwright.serving.problems import HttpError
from modelwright.spec.contract import Field, FieldKind

_WHOLE = {
    f"{sign}INT{bits}": np.dtype(f"<{sign.lower() or 'i'}{bits // 8}") for sign in ("", "U") for bits in (8, 16, 32, 64)
}
_REAL = {f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)}
_DTYPE = {"BOOL": np.dtype("?"), **_WHOLE, **_REAL}
TAKEN: dict[FieldKind, frozenset[str]] = {
    "float": frozenset({*_WHOLE, *_REAL}),
    "int": frozenset(_WHOLE),
    "bool": frozenset({"BOOL"}),
    "str": frozenset({"BYTES"}),
    "time": frozenset({"BYTES", "INT64"}),
}
"""The datatypes that a column of each kind is taken in."""
DATATYPE: dict[FieldKind, str] = {"float": "FP64", "int": "INT64", "bool": "BOOL", "str": "BYTES", "time": "BYTES"}
"""The datatype that metadata name for it."""


class Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """An input of a request. Its data are in `data`, or behind the JSON, `parameters.binary_data_size` bytes of them."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


def column(tensor: Tensor, field: Field, raw: memoryview | None) -> list[Any]:
    """The n values of a column, as msgspec converts them; HttpError 400 where shape, datatype or data do not fit."""
    name, shape = field.name, tensor.shape
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) or shape[0] < 0:
        raise HttpError(400, f"{name}: shape {shape}; a column of n rows has shape [n] or [n, 1]")
    if tensor.datatype not in TAKEN[field.kind]:
        wanted = ", ".join(sorted(TAKEN[field.kind]))
        raise HttpError(400, f"{name}: datatype {tensor.datatype}; a {field.kind} is taken in {wanted}")
    if raw is not None and tensor.data is not None:
        raise HttpError(400, f"{name}: both data and binary_data_size; send one of them")
    if raw is None and tensor.data is None:
        raise HttpError(400, f"{name}: no data; send data, or binary_data_size and the bytes")
    values = _of_bytes(tensor, raw) if raw is not None else _of_json(tensor, tensor.data or [])
    if len(values) != shape[0]:
        raise HttpError(400, f"{name}: {len(values)} values; shape {shape} says {shape[0]}")
    if field.kind == "time" and tensor.datatype == "INT64":
        try:
            return [None if value is None else from_us(value) for value in values]
        except OverflowError:
            raise ContractError(f"{name}: an instant outside the years 1 to 9999", name) from None
    return values


def _of_json(tensor: Tensor, data: list[Any]) -> list[Any]:
    if len(tensor.shape) == 2 and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [row[0] for row in data]
    dtype = _DTYPE.get(tensor.datatype)
    kind: Any = {"BOOL": bool, "BYTES": str}.get(tensor.datatype, int if tensor.datatype in _WHOLE else (int, float))
    for value in data:
        if value is not None and (not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))):
            raise HttpError(400, f"{tensor.name}: {str(value)[:50]!r} is no {tensor.datatype}")
    if dtype is None or tensor.datatype == "BOOL":
        return data
    try:
        if tensor.datatype == "FP64":  # what numpy would say, in a tenth of its time
            return [None if value is None else float(value) for value in data]
        with np.errstate(over="ignore"):  # to infinity, which is refused as no finite number
            return [None if value is None else dtype.type(value).item() for value in data]
    except OverflowError:
        raise ContractError(f"{tensor.name}: a number that {tensor.datatype} does not hold", tensor.name) from None


def _of_bytes(tensor: Tensor, raw: memoryview) -> list[Any]:
    if tensor.datatype == "BYTES":
        return _texts(tensor.name, raw)
    dtype = _DTYPE[tensor.datatype]
    if len(raw) % dtype.itemsize:
        raise HttpError(400, f"{tensor.name}: {len(raw)} bytes are no whole number of {tensor.datatype} values")
    values: list[Any] = np.frombuffer(raw, np.uint8 if tensor.datatype == "BOOL" else dtype).tolist()
    return [value != 0 for value in values] if tensor.datatype == "BOOL" else values


def _texts(name: str, raw: memoryview) -> list[str]:
    texts, place = [], 0
    while place < len(raw):
        end = place + 4
        size = int.from_bytes(raw[place:end], "little")
        if end > len(raw) or end + size > len(raw):
            raise HttpError(400, f"{name}: the bytes end within a text; each is its length in 4 bytes, then itself")
        try:
            texts.append(str(raw[end : end + size], "utf-8"))
        except UnicodeDecodeError:
            raise HttpError(400, f"{name}: a text that is not UTF-8") from None
        place = end + size
    return texts


def binary(datatype: str, values: Sequence[Any]) -> bytes:
    """Values, row by row, as binary tensor data."""
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(values, _DTYPE[datatype]).tobytes()
