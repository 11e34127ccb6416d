from datetime import datetime
from typing import Annotated, Any, Literal

import pytest

import modelwright as mw
from modelwright.core.errors import DeclarationError
from modelwright.spec.contract import Field
from modelwright.spec.event import contract_of


def declare(hints: dict[str, Any], defaults: dict[str, Any] | None = None, **roles: Any) -> Any:
    return mw.event(**roles)(type("Payment", (), {"__annotations__": hints, "__doc__": " Paid. ", **(defaults or {})}))


def field_of(hint: Any, *default: Any) -> Field:
    return contract_of(declare({"x": hint}, {"x": default[0]} if default else {})).field("x")


def refusal(hints: dict[str, Any], defaults: dict[str, Any] | None = None, **roles: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        declare(hints, defaults, **roles)
    return str(caught.value)


@pytest.mark.parametrize(
    ("hint", "kind"), [(float, "float"), (int, "int"), (bool, "bool"), (str, "str"), (datetime, "time"), ("int", "int")]
)
def test_the_five_types_are_the_five_kinds(hint, kind):
    assert field_of(hint) == Field(name="x", kind=kind, column="x")


@pytest.mark.parametrize("hint", [float | None, None | float, Annotated[float | None, mw.Meta(gt=0)]])
def test_what_may_be_none_may_be_left_out(hint):
    field = field_of(hint)
    assert (field.nullable, field.has_default, field.default) == (True, True, None)


def test_limits_stand_inside_or_outside_of_none():
    limit = mw.Meta(gt=0, column="Amount")
    assert field_of(Annotated[float | None, limit]) == field_of(Annotated[float, limit] | None)
    assert field_of(Annotated[float, limit] | None).gt == 0


def test_a_literal_is_a_text_with_choices():
    assert field_of(Literal["card", "cash"]) == Field(name="x", kind="str", column="x", choices=("card", "cash"))


def test_a_default_has_the_type_of_its_field():
    default = field_of(float, 1).default
    assert (default, type(default)) == (1.0, float)


def test_the_class_keeps_its_name_order_and_docstring():
    contract = contract_of(declare({"b": str, "a": datetime, "c": int}, id="b", time="a"))
    assert (contract.name, contract.names, contract.description) == ("Payment", ("b", "a", "c"), "Paid.")
    assert (contract.id, contract.entity, contract.time, contract.input_names()) == ("b", None, "a", ("c",))


def test_an_event_decodes_as_declared_and_without_parentheses_too():
    @mw.event
    class Row:
        x: float = 1.0

    assert (Row().x, Row(x=2.0).x) == (1.0, 2.0)
    assert contract_of(Row).time is None


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        (list[int], "list"),
        (dict, "dict"),
        (int | str, r"int | str"),
        (None, "NoneType"),
        (Any, "Any"),
        (Literal[1, 2], "Literal"),
        (Literal[[1]], "Literal"),
        (bytes, "bytes"),
        (complex | None, "complex"),
    ],
)
def test_another_type_is_refused_with_the_ones_there_are(hint, shown):
    message = refusal({"x": hint})
    assert message.startswith(f"Payment.x: {shown} is no column type; use str, int, float, bool, datetime or a Literal")


@pytest.mark.parametrize("hint", ["Nonsense", "int |", "1 +"])
def test_an_annotation_that_does_not_resolve_is_no_traceback(hint):
    assert refusal({"x": hint}).startswith("Payment: an annotation does not resolve: ")


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (Annotated[str, mw.Meta(gt=1)], "`gt`"),
        (Annotated[float, mw.Meta(gt="x")], "`gt` must be an int or float"),
        (Annotated[float, mw.Meta(gt=1, ge=1)], "both `gt` and `ge`"),
        (Annotated[bool, mw.Meta(le=1)], "`le`"),
        (Annotated[datetime, mw.Meta(ge=1)], "`ge`"),
        (Annotated[float, mw.Meta(min_length=1)], "`min_length`"),
        (Annotated[Literal["a"], mw.Meta(max_length=1)], "`max_length`"),
        (Annotated[str, mw.Meta(pattern="[")], "unterminated character set"),
        (Annotated[float, "positive"], r"annotate limits with mw.Meta(...), not 'positive'"),
    ],
)
def test_a_limit_that_does_not_fit_names_class_and_field(hint, said):
    message = refusal({"x": hint})
    assert message.startswith("Payment.x: ") and said in message


@pytest.mark.parametrize(
    ("hint", "default", "said"),
    [
        (float, "x", "Expected `float`, got `str`"),
        (int, 1.5, "Expected `int`, got `float`"),
        (Annotated[float, mw.Meta(gt=0)], 0.0, "Expected `float` > 0"),
        (Literal["a"], "b", "Invalid enum value 'b'"),
        (float, float("nan"), "nan is no default; use `| None`"),
        (float, float("inf"), "inf is no default; use `| None`"),
        (datetime, datetime(2026, 1, 1), "is no default; use `| None`"),
    ],
)
def test_a_default_that_cannot_be_is_refused(hint, default, said):
    message = refusal({"x": hint}, {"x": default})
    assert message.startswith("Payment.x: ") and said in message


@pytest.mark.parametrize("role", ["id", "entity", "time"])
def test_a_role_that_is_no_field_gets_a_hint(role):
    hints = {"payment_id": str, "card_id": str, "at": datetime}
    near = refusal(hints, **{role: "card_idd"})
    assert near == f"Payment: {role}='card_idd' is no field of the class; did you mean 'card_id'?"
    far = refusal(hints, **{role: "zzz"})
    assert far == f"Payment: {role}='zzz' is no field of the class; its fields are payment_id, card_id, at"


@pytest.mark.parametrize("hint", [str, int, datetime | None])
def test_a_time_is_a_datetime_that_is_there(hint):
    assert refusal({"x": hint}, time="x") == "Payment.x: the time field must be a `datetime` that is never None"


@pytest.mark.parametrize("hint", [float, bool, datetime, str | None])
def test_an_id_is_a_text_or_a_whole_number_that_is_there(hint):
    assert refusal({"x": hint}, id="x") == "Payment.x: the id field must be a `str` or an `int` that is never None"


def test_two_fields_of_one_column_are_both_named():
    message = refusal(
        {"x": Annotated[float, mw.Meta(column="Amount")], "y": Annotated[float, mw.Meta(column="Amount")]}
    )
    assert message == "Payment: x and y read the same file column 'Amount'; name another with mw.Meta(column=...)"


def test_a_leading_underscore_is_ours():
    assert "Payment._x: names that begin with an underscore" in refusal({"_x": float})


def test_an_event_of_another_event_is_refused():
    with pytest.raises(DeclarationError, match="Refund: an event class is made of no other event class"):
        mw.event(type("Refund", (declare({"x": float}),), {}))


def test_a_class_without_fields_is_told_what_a_field_is():
    assert refusal({}) == "Payment has no fields: annotate its columns, for instance `amount: float`"


@pytest.mark.parametrize(("given", "name"), [(dict, "dict"), (5, "5"), (type("Row", (), {}), "Row")])
def test_a_class_that_is_no_event_is_told_how_to_become_one(given, name):
    with pytest.raises(DeclarationError, match=rf"{name} is not an event class: decorate it with @mw.event"):
        contract_of(given)


def test_free_text_is_declared():
    assert field_of(Annotated[str, mw.Meta(text=True)]) == Field(name="x", kind="str", column="x", text=True)
    assert field_of(Annotated[str | None, mw.Meta(text=True, max_length=9)]).text
    for hint in (float, datetime, Literal["a", "b"]):
        assert "text=True is for a plain `str`" in refusal({"x": Annotated[hint, mw.Meta(text=True)]})
    for role in ("id", "entity"):
        said = refusal({"x": Annotated[str, mw.Meta(text=True)]}, **{role: "x"})
        assert said == f"Payment.x: the {role} is no free text; leave text=True out"
