from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
import pytest

import modelwright as mw
from modelwright.spec.contract import Contract, Field
from modelwright.spec.event import contract_of


@mw.event(id="key", entity="shop", time="at")
class Sale:
    """One line of a receipt."""

    key: int
    shop: str
    at: datetime
    price: Annotated[float, mw.Meta(gt=0, le=1e6, column="Unit Price", description="in euros")]
    pieces: Annotated[int, mw.Meta(ge=1)] = 1
    way: Literal["card", "cash"] | None = None
    code: Annotated[str, mw.Meta(min_length=2, max_length=4, pattern="^[A-Z]+$")] = "AA"
    member: bool = False
    seen: datetime | None = None


SALE = {"key": 1, "shop": "s", "at": "2026-01-31T12:00:00Z", "price": 2.5}


def decode(contract: Contract, **changed):
    return msgspec.json.decode(msgspec.json.encode(SALE | changed), type=contract.struct())


def sent(contract: Contract) -> Contract:
    """The contract after a journey through JSON."""
    return msgspec.json.decode(msgspec.json.encode(contract), type=Contract)


def test_a_contract_survives_json():
    contract = contract_of(Sale)
    again = sent(contract)
    assert again == contract
    assert [type(field.default) for field in again.fields] == [type(field.default) for field in contract.fields]


@pytest.fixture(params=["declared", "after JSON"])
def contract(request):
    """The contract as declared and as a release has it: both decode alike."""
    return contract_of(Sale) if request.param == "declared" else sent(contract_of(Sale))


def test_a_struct_fills_in_the_defaults(contract):
    sale = decode(contract)
    assert (sale.pieces, sale.way, sale.code, sale.member, sale.seen) == (1, None, "AA", False, None)
    assert sale.at == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_naive_times_are_taken(contract):
    assert decode(contract, at="2026-01-31T12:00:00").at == datetime(2026, 1, 31, 12)


@pytest.mark.parametrize(
    "changed",
    [
        {"price": 1e6},
        {"price": 1e-9},
        {"price": 3},
        {"pieces": 1},
        {"pieces": 2**63 - 1},
        {"key": -(2**63)},
        {"way": "cash"},
        {"way": None},
        {"code": "ABCD"},
    ],
)
def test_the_limits_themselves_are_inside(contract, changed):
    (name, value) = next(iter(changed.items()))
    assert getattr(decode(contract, **changed), name) == value


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"price": 0}, r"> 0.* at `\$\.price`"),
        ({"price": 1_000_001.0}, r"<= 1000000.* at `\$\.price`"),
        ({"price": "2"}, r"Expected `float`, got `str` - at `\$\.price`"),
        ({"price": True}, r"Expected `float`, got `bool` - at `\$\.price`"),
        ({"price": None}, r"Expected `float`, got `null` - at `\$\.price`"),
        ({"pieces": 0}, r">= 1.* at `\$\.pieces`"),
        ({"pieces": 2**63}, r"at `\$\.pieces`"),
        ({"pieces": 1.5}, r"Expected `int`, got `float` - at `\$\.pieces`"),
        ({"key": -(2**63) - 1}, r"at `\$\.key`"),
        ({"way": "cheque"}, r"Invalid enum value 'cheque' - at `\$\.way`"),
        ({"code": "A"}, r"length >= 2 - at `\$\.code`"),
        ({"code": "ABCDE"}, r"length <= 4 - at `\$\.code`"),
        ({"code": "ab"}, r"matching regex .* at `\$\.code`"),
        ({"member": 1}, r"Expected `bool`, got `int` - at `\$\.member`"),
        ({"at": "yesterday"}, r"at `\$\.at`"),
        ({"piecse": 2}, "unknown field `piecse`"),
        ({"id": "a"}, "unknown field `id`"),
    ],
)
def test_beyond_them_the_field_is_named(contract, changed, said):
    with pytest.raises(msgspec.ValidationError, match=said):
        decode(contract, **changed)


def test_a_missing_member_is_named(contract):
    with pytest.raises(msgspec.ValidationError, match="missing required field `price`"):
        msgspec.json.decode(b'{"key":1,"shop":"s","at":"2026-01-31T12:00:00Z"}', type=contract.struct())


def test_an_event_without_an_id_takes_the_reserved_member():
    without = Contract(name="Row", fields=(Field(name="x", kind="float", column="x"),))
    decoder = msgspec.json.Decoder(without.struct())
    assert (decoder.decode(b'{"x":1,"id":"a"}').id, decoder.decode(b'{"x":1}').id) == ("a", None)
    with pytest.raises(msgspec.ValidationError, match="length >= 1"):
        decoder.decode(b'{"x":1,"id":""}')


@pytest.mark.parametrize(
    ("limit", "inside", "outside"),
    [({"ge": 0.5}, 1, 0), ({"gt": 0.5}, 1, 0), ({"le": -0.5}, -1, 0), ({"lt": 1.5}, 1, 2), ({"gt": -1.5}, -1, -2)],
)
def test_a_broken_limit_of_a_whole_number_means_what_it_says(limit, inside, outside):
    field = Field(name="n", kind="int", column="n", **limit)
    decoder = msgspec.json.Decoder(field.annotation())
    assert decoder.decode(str(inside)) == inside
    with pytest.raises(msgspec.ValidationError):
        decoder.decode(str(outside))


def test_a_field_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError, match="nothing"):
        contract_of(Sale).field("nothing")
