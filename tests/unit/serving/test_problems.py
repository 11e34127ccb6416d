import inspect

import msgspec
import pytest

from modelwright.core import errors
from modelwright.serving.problems import STATUS, HttpError, contract_error, problem_of

EXPECTED = {
    "ContractError": 422, "ConflictError": 409, "UnknownEventError": 404, "UnavailableError": 503, "ReleaseError": 503,
    "WorkspaceError": 503, "NoRoomError": 503,
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind for _, kind in inspect.getmembers(errors, inspect.isclass)])
def test_every_error_has_its_status(kind):
    if not issubclass(kind, errors.ModelwrightError) or kind is errors.MissingExtraError:
        return
    problem = problem_of(kind("card: what is wrong"))
    assert problem.status == EXPECTED.get(kind.__name__, 500)
    assert problem.title


def test_the_table_holds_no_error_twice():
    assert {kind.__name__ for kind in STATUS} == set(EXPECTED) - {"NoRoomError"}  # a WorkspaceError


def test_a_full_disk_is_said_to_be_one():
    problem = problem_of(errors.NoRoomError("/srv/state: the disk is full"))
    assert "full" in problem.detail
    assert "again" in problem.detail
    assert "/srv" not in problem.detail


def test_what_nobody_expected_is_told_to_the_server_alone():
    problem = problem_of(ValueError("/home/somebody/secret.py failed"))
    assert problem.status == 500
    assert "secret" not in problem.detail


def test_a_workspace_error_does_not_name_its_folder():
    assert "/srv" not in problem_of(errors.WorkspaceError("/srv/state: the disk is full")).detail


def test_a_long_message_is_cut_in_its_middle():
    problem = problem_of(HttpError(404, "no route /" + "x" * 10_000 + "; see /openapi.json"))
    assert len(problem.detail) < 600
    assert problem.detail.startswith("no route /x")
    assert problem.detail.endswith("; see /openapi.json")
    assert len(problem_of(errors.ContractError("m", "f" * 10_000)).field) < 600


class Body(msgspec.Struct, forbid_unknown_fields=True):
    amount: float
    shop: str = ""


@pytest.mark.parametrize(
    ("body", "field", "detail"),
    [
        (b'{"amount": "1"}', "amount", "amount: Expected `float`, got `str`"),
        (b'{"shop": "a"}', "amount", "amount: Object missing required field `amount`"),
        (b'{"amount": 1, "size": 2}', "size", "size: Object contains unknown field `size`"),
        (b'{"amount": 1, "a.b": 2}', "a.b", "a.b: Object contains unknown field `a.b`"),
        (b"5", "", "Expected `object`, got `int`"),
    ],
)
def test_the_field_is_named_and_in_a_list_the_entry(body, field, detail):
    for text, kind, place in ((body, Body, ""), (b'[{"amount": 1}, %s]' % body, list[Body], " (entry 1)")):
        with pytest.raises(msgspec.ValidationError) as raised:
            msgspec.json.decode(text, type=kind)
        error = contract_error(raised.value)
        assert (error.field, str(error)) == (field, detail + place)
