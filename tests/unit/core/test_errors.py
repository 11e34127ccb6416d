import inspect
import re

import pytest

from modelwright.core import errors
from modelwright.core.errors import ContractError, MissingExtraError, ModelwrightError


def drawn() -> dict[str, str]:
    """Class to parent, as the tree at the top of the file draws them."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"(\s+(?:[│ ]*[├└]── )?)(\w+)\s{2,}\S", line)
        if match is None:
            continue
        depth, name = len(match[1]), match[2]
        while above and above[-1][0] >= depth:
            above.pop()
        parents[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    return parents


def classes() -> dict[str, type]:
    return {name: value for name, value in vars(errors).items() if inspect.isclass(value)}


def test_the_tree_drawn_is_the_tree_there_is():
    assert drawn() == {name: value.__base__.__name__ for name, value in classes().items()}


def test_the_drawing_is_read_at_all():
    assert drawn()["ModelwrightError"] == "Exception"
    assert len(drawn()) > 8


@pytest.mark.parametrize("name", sorted(classes()))
def test_every_error_says_what_it_is_for(name):
    assert issubclass(classes()[name], ModelwrightError)
    assert classes()[name].__doc__


def test_a_contract_error_knows_its_field():
    assert ContractError("amount: x", "amount").field == "amount"
    assert ContractError("not an object").field == ""


def test_a_missing_extra_names_the_install_command():
    error = MissingExtraError("pandas", "train", "training")
    assert str(error) == "training needs pandas, which is not installed: pip install 'modelwright[train]'"
