"""A cell of CSV means the same in a body as in a file."""

import pyarrow as pa
import pytest

from modelwright.core.errors import ContractError
from modelwright.ingest.convert import convert
from modelwright.serving.invocation_bodies import BodyReader, media_type
from modelwright.serving.rows import RowReader
from modelwright.spec.contract import Contract, Field

CELLS = [
    *("1", " 2 ", "-3.5", "1e3", "3.0", "1e400", "99999999999999999999", "1_0", "0x10", "٣", "nan", "inf", "9" * 5000),
    *("true", "Yes", "f", "0", "", " ", "x", "null"),
    *("2024-06-01", "2024-06-01 12:00:00+02:00", "2024-06-01t12:00z", "0001-01-01T00:00:00+14:00", "1717243200"),
]


class Plane:
    """What a reader of rows needs of a plane."""

    def __init__(self, contract, clock):
        self.contract = contract
        self.clock = clock
        self.operations = {"predict": self}
        self.body = contract.struct()

    def take(self, body):
        return body.value


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("kind", ["float", "int", "bool", "str", "time"])
def test_cells_mean_what_they_mean_in_files(kind, nullable, clock):
    field = Field(name="value", kind=kind, column="value", nullable=nullable)
    contract = Contract(name="Row", fields=(field,))
    reader = RowReader(Plane(contract, clock))
    bodies = BodyReader(contract, reader)
    for cell in CELLS:
        column, faults = convert(pa.array([cell]), field)
        try:
            [value] = reader.events(bodies.invocation(media_type("text/csv; header=absent"), f'"{cell}"\n'.encode()))
        except ContractError:
            assert faults, cell
        else:
            assert not faults, (cell, value)
            assert [value] == column.to_pylist(), cell
