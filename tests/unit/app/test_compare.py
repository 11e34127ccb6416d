"""Policies side by side on one history, and the cheapest of the good ones."""

import re

import msgspec
import pytest

import modelwright as mw
from modelwright.app.commands.compare import PolicyResult, choose, compare
from modelwright.app.comparison import render_comparison
from modelwright.app.policies import systems_of
from modelwright.core.errors import DeclarationError
from modelwright.spec.metric import METRICS

POLICIES = """
from modelwright import past, retrain
policies = {
    "never": [],
    "weekly <b>": [retrain.every("7d")],
    "weekly, short": {"retrain": [retrain.every("7d")], "train_on": past.last("60d")},
}
"""


@pytest.fixture(scope="module")
def compared(histories, tmp_path_factory):
    import shutil

    folder = tmp_path_factory.mktemp("compared") / "sales"
    shutil.copytree(histories("sales"), folder)
    policies = folder / "policies.py"
    policies.write_text(POLICIES)
    system = mw.load(folder / "system.py")
    return system, compare(system, policies)


def test_every_policy_answers_the_same_requests_with_a_journal_of_its_own(compared):
    _, result = compared
    by_name = {one.policy: one for one in result.policies}
    assert list(by_name) == ["as declared", "never", "weekly <b>", "weekly, short"]
    assert by_name["as declared"].journal_sha256 == by_name["weekly <b>"].journal_sha256  # it is declared so
    assert by_name["never"].trainings == 1
    assert by_name["weekly <b>"].trainings > 1
    assert len({one.journal_sha256 for one in result.policies}) == 3
    assert result.best in by_name and result.recommended in by_name


def test_as_declared_is_what_the_rehearsal_says(compared):
    system, result = compared
    alone = system.rehearse()
    assert result.policies[0].journal_sha256 == alone.journal_sha256
    assert result.policies[0].value == alone.self_running
    assert (result.begins, result.predictions) == (alone.begins, alone.predictions)


def test_the_page_names_every_policy_and_holds_no_markup_of_theirs(compared):
    _, result = compared
    page = render_comparison(msgspec.to_builtins(result), "sales")
    assert page.count('<circle class="dot') == 4
    assert "weekly &lt;b&gt;" in page
    assert "<b>" not in page.partition("<main>")[2]


def policy(name, value, seconds, trainings=1):
    return PolicyResult(
        policy=name, value=value, trainings=trainings, promotions=0, rejections=0, rollbacks=0, seconds=seconds,
        journal_sha256="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("accuracy", {"a": (0.900, 9), "b": (0.8951, 5), "c": (0.8949, 1)}, ("a", "b")),
        ("accuracy", {"a": (0.900, 9), "b": (0.890, 1)}, ("a", "a")),
        ("mae", {"a": (100.0, 9), "b": (100.4, 5), "c": (100.6, 1)}, ("a", "b")),
        ("accuracy", {"a": (None, 1), "b": (0.5, 9)}, ("b", "b")),
        ("accuracy", {"a": (None, 1)}, (None, None)),
        ("accuracy", {"a": (0.9, 5), "b": (0.9, 5)}, ("a", "a")),
    ],
)
def test_the_cheapest_within_half_a_point_of_the_best_is_recommended(metric, values, expected):
    assert choose([policy(name, *given) for name, given in values.items()], METRICS[metric]) == expected


@pytest.mark.parametrize("costs", [[0.4, 2.1, 2.6], [0.01, 0.2, 0.3], [30.0, 40.0, 90.0]])
@pytest.mark.parametrize(
    "values", [[0.93731, 0.93729, 0.93729], [0.9, 0.9, 0.9], [0.5, 0.7, 0.9], [1234.5, 1234.6, 1240.0]]
)
def test_no_two_ticks_of_an_axis_are_called_the_same(compared, values, costs):
    data = msgspec.to_builtins(compared[1]) | {"metric": "roc_auc", "higher_is_better": True}
    policies = data["policies"][:3]
    data["policies"] = [
        {**one, "value": value, "seconds": cost} for one, value, cost in zip(policies, values, costs, strict=True)
    ]
    page = render_comparison(data | {"recommended": policies[0]["policy"], "best": policies[0]["policy"]}, "sales")
    axis = page.partition('<g class="axis">')[2].partition("</g>")[0]
    ticks = re.findall(r"<text[^>]*>([^<]*)</text>", axis)
    assert len(set(ticks)) == len(ticks) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"policies\.py: declare the policies to compare, such as policies = "),
        ("policies = {}", "declare the policies to compare"),
        ("policies = {'': []}", "'' is no name for a policy"),
        ("policies = {'as declared': []}", "give a text other than 'as declared'"),
        ("policies = {'a': ['weekly']}", "policy 'a': .*'weekly' is no trigger; use retrain.every"),
        ("policies = {'a': {'label': 1}}", "policy 'a': 'label' cannot differ between policies; it may be retrain, "),
        ("policies = {'a': {'seed': 'x'}}", "policy 'a': .*seed='x'.*a whole number"),
        ("policies = 1 / 0", "line 1 does not import: ZeroDivisionError"),
    ],
)
def test_a_policy_that_cannot_be_is_named(declare, tmp_path, text, message):
    path = tmp_path / "policies.py"
    path.write_text(text)
    with pytest.raises(DeclarationError, match=message):
        systems_of(mw.load(declare("sales")), path)


def test_a_replaced_system_is_the_same_but_for_what_is_replaced(declare):
    system = mw.load(declare("sales"))
    other = system.replaced(retrain=[], seed=5)
    assert (other.retrain, other.seed, other.path, other.home) == ((), 5, system.path, system.home)
    assert (other.features, other.label, other.models) == (system.features, system.label, system.models)
    assert system.seed == 0
