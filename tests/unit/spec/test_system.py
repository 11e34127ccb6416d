from datetime import datetime
from typing import Annotated

import pytest

import modelwright as mw
from modelwright import agg, gate, guard, past, retrain, rollout, source
from modelwright.core.errors import DeclarationError
from modelwright.spec.metric import DEFAULT, METRICS
from modelwright.spec.system import NOT_BUILT


@pytest.fixture
def refusal(declare):
    """The message a system with these settings is refused with."""

    def message(**changed) -> str:
        with pytest.raises(DeclarationError) as caught:
            declare(**changed)
        return str(caught.value)

    return message


def test_what_is_not_said_has_the_documented_value(declare):
    system = declare()
    assert system.metric.name == "roc_auc"
    assert (system.source, system.features, system.gates, system.retrain, system.seed) == (None, (), (), (), 0)
    assert (system.validation_us, system.check_us) == (7 * 86_400_000_000, 3_600_000_000)
    assert system.rollout == rollout.shadow(pairs=100, margin=0.01, confidence=0.9, within="14d")


@pytest.mark.parametrize(("kind", "name"), [(bool, "roc_auc"), (str, "accuracy"), (int, "mae"), (float, "mae")])
def test_the_metric_follows_the_kind_of_label(declare, kind, name):
    assert declare(label=mw.Label("y", kind, delay="1d")).metric.name == name


def test_the_model_sees_columns_then_features(declare, payment):
    views = [
        mw.FeatureView(payment, b=agg.count(), a=agg.count(over="1d")),
        mw.FeatureView(payment, by=None, c=agg.count()),
    ]
    system = declare(features=views)
    assert system.inputs == ("amount", "country", "b", "a", "c")
    assert [field.name for field in system.input_fields()] == ["amount", "country"]
    assert declare(features=views, inputs=["c", "amount"]).inputs == ("c", "amount")


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "../x", None, 5, "a.b"])
def test_a_name_is_letters_digits_and_dashes(refusal, name):
    assert "letters, digits, - and _ only, not beginning with a digit" in refusal(name=name)


def test_an_event_is_a_decorated_class(refusal):
    assert refusal(event=dict) == "dict is not an event class: decorate it with @mw.event(...)"


def test_a_plain_table_is_told_what_is_missing(refusal):
    @mw.event
    class Row:
        x: float

    assert "Row declares no time; name its time field in @mw.event(time=...)" in refusal(event=Row)


@pytest.mark.parametrize("label", ["is_fraud", None, bool])
def test_a_label_is_declared(refusal, label):
    assert refusal(label=label).endswith("declare it with mw.Label(name, kind, delay=...)")


def test_a_label_that_is_a_field_is_refused(refusal):
    message = refusal(label=mw.Label("amount", float, delay="1d"))
    assert message.startswith(
        "System(fraud): the label 'amount' is also an input: it is a field of Payment; take it out"
    )


def test_a_label_that_a_field_reads_under_another_name_is_refused(refusal):
    @mw.event(time="at")
    class Leaking:
        at: datetime
        score: Annotated[float, mw.Meta(column="is_fraud")]

    assert "the label 'is_fraud' is also an input: it is a field of Leaking" in refusal(event=Leaking)


def test_a_label_among_the_inputs_is_refused(refusal):
    assert refusal(inputs=["amount", "is_fraud"]).endswith(
        "inputs=): the label 'is_fraud' is also an input; take it out"
    )


@pytest.mark.parametrize(("name", "kind", "said"), [("a b", bool, "Python identifier"), ("_y", bool, "underscore")])
def test_a_label_has_a_name(name, kind, said):
    with pytest.raises(DeclarationError, match=said):
        mw.Label(name, kind, delay="1d")


@pytest.mark.parametrize("kind", [dict, None, "bool", [1]])
def test_a_label_has_a_kind(kind):
    with pytest.raises(DeclarationError, match=r"Label\('y', .*\): the kind is one of bool, str, int, float"):
        mw.Label("y", kind, delay="1d")


@pytest.mark.parametrize("delay", ["0d", "soon", 7])
def test_a_label_has_a_delay(delay):
    with pytest.raises(DeclarationError, match=r"Label\('y', delay=\)="):
        mw.Label("y", bool, delay=delay)


def test_inputs_are_known_columns_each_once(refusal):
    assert refusal(inputs=["amout"]).endswith("no column or feature 'amout'; did you mean 'amount'?")
    assert "known are payment_id, card_id, at, amount, country" in refusal(inputs=["zzz"])
    assert "'amount' stands twice" in refusal(inputs=["amount", "amount"])
    assert "the model has no input; add event columns or features" in refusal(inputs=[])


@pytest.mark.parametrize(
    ("setting", "one"),
    [
        ("features", agg.count()),
        ("inputs", "amount"),
        ("gates", gate.better_than("baseline")),
        ("retrain", retrain.every("30d")),
    ],
)
def test_one_where_a_list_belongs_is_told_so(refusal, setting, one):
    message = refusal(**{setting: one})
    assert message.startswith(f"System(fraud, {setting}=") and message.endswith("give a list, [...], also of one")


def test_a_source_is_declared(refusal):
    assert refusal(source="data.csv").endswith("source='data.csv'): declare it with source.files(...)")


@mw.event(id="login_id", entity="card_id", time="at")
class Login:
    login_id: str
    card_id: str
    at: datetime
    amount: int
    device: str


def test_a_view_of_another_event_is_read_by_the_key_both_have(declare, payment):
    views = [mw.FeatureView(payment, b=agg.count()), mw.FeatureView(Login, logins=agg.count(over="1d"))]
    files = source.files("logins.csv")
    system = declare(features=views, history={Login: files})
    assert [contract.name for contract in system.others] == ["Login"]
    assert system.history == {"Login": files}
    assert system.inputs == ("amount", "country", "b", "logins")
    assert declare(features=views).history == {}


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ({"by": "device", "n": agg.count()}, "by='device'): Payment has no field 'device'; a request is one Payment"),
        ({"by": "amount", "n": agg.count()}, "by='amount'): amount is int in Login and float in Payment"),
        ({"n": agg.delta(agg.mean("amount"))}, "n=agg.delta): amount is int in Login and float in Payment"),
        ({"n": agg.count(where="is_fraud")}, "'is_fraud' is the outcome of Payment; read it in a FeatureView(Payment"),
        ({"n": agg.last("devise")}, "neither a column of Login nor the label; did you mean 'device'?"),
        ({"country": agg.last("device")}, "two columns are called 'country'"),
    ],
)
def test_a_view_of_another_event_that_cannot_be_is_refused(refusal, view, said):
    assert said in refusal(features=[mw.FeatureView(Login, **view)])


def test_the_request_s_own_value_is_a_column_of_both(refusal):
    @mw.event(entity="card_id", time="at")
    class Login:
        card_id: str
        at: datetime
        tries: int

    message = refusal(features=[mw.FeatureView(Login, more=agg.change("tries"))])
    assert message.endswith("Payment has no field 'tries'; it reads the request's own value: use a column of both")


def test_two_events_of_one_name_are_refused(refusal):
    @mw.event(entity="card_id", time="at")
    class Payment:
        card_id: str
        at: datetime

    assert "the system's event is another class of that name" in refusal(
        features=[mw.FeatureView(Payment, n=agg.count())]
    )

    @mw.event(entity="card_id", time="at")
    class LOGIN:
        card_id: str
        at: datetime

    views = [mw.FeatureView(Login, n=agg.count()), mw.FeatureView(LOGIN, m=agg.count())]
    assert "two different events are called LOGIN" in refusal(features=views)


def test_a_history_is_of_an_event_that_a_view_reads(refusal, payment):
    files, views = source.files("logins.csv"), [mw.FeatureView(Login, n=agg.count())]
    assert "no view reads it; add a FeatureView(Login, ...)" in refusal(history={Login: files})
    assert "that is the system's own event; its source is source=" in refusal(history={payment: files})
    assert "declare it with source.files(...)" in refusal(features=views, history={Login: "logins.csv"})
    assert "give sources by event, {Login: source.files(...)}" in refusal(history=files)
    assert "str is not an event class" in refusal(history={str: files})


def test_what_is_no_view_is_named(refusal):
    assert refusal(features=[5]) == "System(fraud, features=): 5 is no FeatureView"


def test_two_features_of_one_name(refusal, payment):
    twice = [mw.FeatureView(payment, n=agg.count()), mw.FeatureView(payment, by=None, n=agg.count())]
    assert refusal(features=twice).endswith("two columns are called 'n'; rename one")
    assert "'is_fraud'; rename one" in refusal(features=[mw.FeatureView(payment, is_fraud=agg.count())])


def test_a_view_is_checked_against_the_label(refusal, payment):
    assert "did you mean 'is_fraud'?" in refusal(features=[mw.FeatureView(payment, n=agg.sum("is_frawd"))])
    text = mw.Label("segment", str, delay="1d")
    assert "the label segment is a str" in refusal(
        label=text, features=[mw.FeatureView(payment, n=agg.mean("segment"))]
    )


@pytest.mark.parametrize("model", [5, None, object, dict])
def test_a_model_fits_and_predicts(refusal, model):
    assert "has no fit and predict; give an estimator object" in refusal(model=model)


@pytest.mark.parametrize("model", ["auto", ["auto"]])
def test_auto_is_not_built_yet(refusal, model):
    assert "model='auto'): not built yet; give an estimator object" in refusal(model=model)


def test_several_models_and_parts_of_history_are_taken_as_they_are_given(declare, refusal):
    model = declare().models[0]
    assert declare(model=[model, model]).models == (model, model)
    assert declare().train_on == (past.all(),)
    assert declare(train_on=past.last("9d")).train_on == (past.last("9d"),)
    assert declare(train_on=[past.all(), past.decayed("9d")]).train_on == (past.all(), past.decayed("9d"))
    assert "the list is empty; give at least one estimator" in refusal(model=[])
    assert "5 has no fit and predict" in refusal(model=[model, 5])
    assert "'90d' is no part of history; use past.last" in refusal(train_on=["90d"])
    assert "the last 9d stands twice; name it once" in refusal(train_on=[past.last("9d"), past.last("9d")])


@pytest.mark.parametrize("kind", ["bool", "str", "int", "float"])
@pytest.mark.parametrize("name", ["acuracy", "", 5, [], *METRICS])
def test_a_metric_exists_and_fits_the_label(declare, refusal, kind, name):
    label = mw.Label("y", {"bool": bool, "str": str, "int": int, "float": float}[kind], delay="1d")
    less_is_better = name in list(METRICS) and not METRICS[name].higher_is_better
    gates = [gate.metric(name, **{"at_most" if less_is_better else "at_least": 0})]
    if name in list(METRICS) and kind in METRICS[name].kinds:
        assert declare(label=label, metric=name, gates=gates).metric.name == name
        return
    said = f"no metric {name!r} for a {kind} label; choose from "
    assert f"System(fraud, metric=): {said}" in refusal(label=label, metric=name)
    message = refusal(label=label, gates=gates)
    assert f"gate.metric: {said}" in message and DEFAULT[kind] in message


@pytest.mark.parametrize("bounds", [{}, {"at_least": 1, "at_most": 2}])
def test_a_gate_has_one_bound(bounds):
    with pytest.raises(DeclarationError, match=r"gate\.metric\('accuracy'\): give either at_least= or at_most="):
        gate.metric("accuracy", **bounds)


@pytest.mark.parametrize("bound", ["0.5", float("nan"), True])
def test_a_bound_is_a_number(bound):
    with pytest.raises(DeclarationError, match=r"gate\.metric\('accuracy'\): the bound .* is no number"):
        gate.metric("accuracy", at_least=bound)


def test_a_rival_is_one_there_is():
    with pytest.raises(DeclarationError, match="the rival is one of 'baseline', 'champion'"):
        gate.better_than("yesterday")
    for by in (-0.1, float("nan"), "x", None):
        with pytest.raises(DeclarationError, match="by is 0 or more"):
            gate.better_than("baseline", by=by)


@pytest.mark.parametrize(
    ("setting", "given", "said"),
    [
        ("gates", [gate.metric], "is no gate; use gate.metric(...) and the like"),
        ("retrain", [retrain.every], "is no trigger; use retrain.every(...)"),
        ("retrain", ["30d"], "is no trigger; use retrain.every(...)"),
        ("rollout", 5, "is no rollout; use rollout.shadow(...)"),
        ("validation", "a week", "System(fraud, validation=)='a week' is not a duration"),
        ("check", "0h", "System(fraud, check=)='0h' must be longer than nothing"),
        ("seed", "x", "System(fraud, seed='x'): a whole number"),
    ],
)
def test_other_settings_name_the_remedy(refusal, setting, given, said):
    assert said in refusal(**{setting: given})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: rollout.shadow(pairs=0), r"pairs=0\): a whole number from 1 up"),
        (
            lambda: rollout.canary(shares=[]),
            r"rollout.canary\(shares=\[\]\): shares that rise between 0 and 1, such as",
        ),
        (lambda: rollout.canary(shares=[0.5, 0.1]), "shares that rise between 0 and 1"),
        (lambda: rollout.canary(shares=[0.5, 1]), "shares that rise between 0 and 1"),
        (lambda: rollout.canary(shares="0.5"), "shares that rise between 0 and 1"),
        (lambda: rollout.canary(shares=["a"]), "shares that rise between 0 and 1"),
        (lambda: rollout.canary(step=0), r"rollout.canary\(step=0\): a whole number from 1 up"),
        (lambda: rollout.canary(pairs=0), r"rollout.canary\(pairs=0\): a whole number from 1 up"),
        (lambda: rollout.shadow(guard=[5]), r"rollout.shadow\(guard=\): 5 is no guard; use guard.latency"),
        (
            lambda: rollout.shadow(guard=[guard.scores(), guard.scores(rows=99)]),
            "guard.scores stands twice; name it once",
        ),
        (lambda: guard.latency("soon"), r"guard.latency\(p99=\)='soon' is not a duration"),
        (lambda: guard.scores(rows=9), r"guard.scores\(rows=9\): a whole number from 50 up"),
        (
            lambda: guard.scores(jump=0.2),
            r"guard.scores\(jump=0.2\): a number from 1 up; retrain.on_drift\(\) looks at less",
        ),
        (lambda: guard.outcome(confidence=1), r"guard.outcome\(confidence=1\): from 0.5 to below 1, such as 0.99"),
        (lambda: rollout.shadow(pairs=1.5), "a whole number from 1 up"),
        (lambda: rollout.shadow(margin=0), "margin=0.*between 0 and 1, such as 0.01"),
        (lambda: rollout.shadow(margin="x"), "between 0 and 1, such as 0.01"),
        (lambda: rollout.shadow(confidence=1), "from 0.5 to below 1, such as 0.95"),
        (lambda: rollout.shadow(confidence=None), "from 0.5 to below 1, such as 0.95"),
        (lambda: rollout.shadow(within="x"), r"rollout\.shadow\(within=\)='x' is not a duration"),
        (lambda: retrain.every("often"), r"retrain\.every='often' is not a duration"),
        (lambda: retrain.on_decay(drop=-1), "drop=-1.*0 or more"),
        (lambda: retrain.on_decay(drop="x"), "0 or more"),
        (lambda: retrain.on_decay(rows=5), "rows=5.*at least 30"),
    ],
)
def test_rollouts_and_triggers_name_the_remedy(make, said):
    with pytest.raises(DeclarationError, match=said):
        make()


@pytest.mark.parametrize("name", sorted(NOT_BUILT))
def test_a_setting_to_come_is_an_error_until_then(refusal, name):
    assert refusal(**{name: 1}) == f"System({name}=): this setting is not built yet; leave it out"


def test_what_may_be_traded_is_declared_with_within(refusal):
    said = "System({name}, optimize=0.1): declare it with optimize.within(flips=..., drop=...)"
    assert refusal(optimize=0.1).split(", optimize")[1] == said.split(", optimize")[1]


def test_a_misspelt_setting_gets_a_hint(refusal):
    assert refusal(gate=[]) == "System(gate=): no such setting; did you mean 'gates'?"
    assert refusal(zzz=[]) == "System(zzz=): no such setting"


@pytest.mark.parametrize("patterns", [(), ("",), (5,), ("a.csv", None)])
def test_files_are_named_by_text(patterns):
    with pytest.raises(DeclarationError, match=r"source\.files.*: give at least one path or pattern, as a string"):
        source.files(*patterns)


def test_files_match_in_order_each_once(tmp_path):
    for name in ("b.csv", "a.csv", "c.jsonl"):
        (tmp_path / name).touch()
    found = source.files("*.csv", "a.*", str(tmp_path / "c.*")).paths(tmp_path)
    assert [path.name for path in found] == ["a.csv", "b.csv", "c.jsonl"]
