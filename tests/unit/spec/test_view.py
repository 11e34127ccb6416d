from datetime import datetime, timedelta
from typing import Annotated

import pytest

import modelwright as mw
from modelwright import agg
from modelwright.core.errors import DeclarationError
from modelwright.spec.agg import NUMERIC_ONLY, Aggregate
from modelwright.spec.condition import Condition


@pytest.fixture
def refusal(payment):
    """The message a view, or the check of its label, is refused with."""

    def message(*, label: str | None = "is_fraud", kind: str | None = "bool", event=payment, **settings) -> str:
        with pytest.raises(DeclarationError) as caught:
            mw.FeatureView(event, **settings).check_label(label, kind)
        return str(caught.value)

    return message


def test_the_key_defaults_to_the_entity_and_may_be_many_or_none(payment):
    count = agg.count()
    assert mw.FeatureView(payment, n=count).by == ("card_id",)
    assert mw.FeatureView(payment, by=None, n=count).by == ()
    assert mw.FeatureView(payment, by="country", n=count).by == ("country",)
    assert mw.FeatureView(payment, by=("card_id", "country"), n=count).by == ("card_id", "country")


def test_an_event_without_an_entity_has_one_history():
    @mw.event(time="at")
    class Tick:
        at: datetime

    assert mw.FeatureView(Tick, n=agg.count()).by == ()


def test_what_is_not_the_events_is_the_outcomes(payment):
    view = mw.FeatureView(payment, a=agg.sum("is_fraud"), b=agg.count(where="is_fraud and amount > 5"))
    assert view.outcome_columns() == {"is_fraud"}
    view.check_label("is_fraud", "bool")
    assert view.spec().features["b"].columns() == {"is_fraud", "amount"}


@pytest.mark.parametrize("by", ["cart_id", ("card_id", "cart_id")])
def test_a_key_that_is_no_field_lists_the_fields(refusal, by):
    message = refusal(by=by, n=agg.count())
    assert message.startswith(
        "FeatureView(Payment, by='cart_id'): Payment has no such field; its fields are payment_id,"
    )


@pytest.mark.parametrize("by", [5, {"card_id"}, 1.5])
def test_a_key_that_names_nothing_is_refused(refusal, by):
    assert "name a field, several, or None" in refusal(by=by, n=agg.count())


def test_a_key_stands_once(refusal):
    assert "'card_id' stands twice" in refusal(by=("card_id", "card_id"), n=agg.count())


def test_a_view_without_features_is_told_how_to_get_one(refusal):
    assert refusal() == "FeatureView(Payment) has no features: add one, name=agg.count()"


@pytest.mark.parametrize("value", ["count", 5, agg.count, None])
def test_a_feature_that_is_no_aggregate(refusal, value):
    message = refusal(spend=value)
    assert message.startswith("FeatureView(Payment, spend=): ") and "use agg.count(), agg.sum(...)" in message


@pytest.mark.parametrize("name", ["amount", "at", "_hidden"])
def test_a_name_that_is_taken(refusal, name):
    message = refusal(**{name: agg.count()})
    assert message.startswith(f"FeatureView(Payment, {name}=): the name is taken") and "choose another" in message


def test_a_lateness_is_a_duration(refusal, payment):
    assert mw.FeatureView(payment, lateness="1h", n=agg.count()).spec().lateness_us == 3_600_000_000
    assert refusal(lateness=agg.count(), n=agg.count()).startswith("FeatureView(Payment, lateness)=")
    assert "is not a duration" in refusal(lateness="soon", n=agg.count())


def test_windows_are_whole_steps(refusal, payment):
    view = mw.FeatureView(payment, step="1d", a=agg.count(over="90d"), b=agg.sum("amount"))
    assert view.spec().step_us == 86_400_000_000
    assert refusal(step="1d", n=agg.count(over="36h")) == (
        'FeatureView(Payment, n=): over="36h" is no multiple of the view\'s step="1d"; make it one, or give the feature a '
        "view of its own"
    )
    assert "is not a duration" in refusal(step=1, n=agg.count())


@pytest.mark.parametrize("kind", sorted(NUMERIC_ONLY))
def test_a_number_is_needed(refusal, kind):
    make = {
        "quantile": lambda column: agg.quantile(column, 0.5, over="1d"),
        "ewm": lambda column: agg.ewm(column, half_life="1d"),
        "delta": lambda column: agg.delta(agg.last(column)),
    }.get(kind, getattr(agg, kind))
    assert refusal(x=make("country")) == f"FeatureView(Payment, x=): agg.{kind} needs a number, and country is a str"
    assert f"agg.{kind} needs a number, and at is a time" in refusal(x=make("at"))
    of_label = refusal(x=make("segment"), label="segment", kind="str")
    assert of_label.startswith(f"FeatureView(Payment, x=agg.{kind}): agg.{kind} needs a number, and the label segment")


def test_a_text_that_is_known_later_can_be_remembered(payment):
    mw.FeatureView(payment, x=agg.last("segment"), n=agg.count_distinct("segment", over="7d")).check_label(
        "segment", "str"
    )


@pytest.mark.parametrize("aggregate", [agg.sum("amout"), agg.count(where="amout > 5"), agg.lag("amout", 3)])
def test_a_misspelt_column_gets_a_hint(refusal, aggregate):
    message = refusal(x=aggregate)
    where = f"FeatureView(Payment, x=agg.{aggregate.kind})"
    assert message == f"{where}: 'amout' is neither a column of Payment nor the label; did you mean 'amount'?"


def test_a_column_like_no_other_gets_the_list(refusal):
    message = refusal(x=agg.sum("zzz"))
    assert message.endswith("its columns are payment_id, card_id, at, amount, country, is_fraud")


@pytest.mark.parametrize("aggregate", [agg.change("is_fraud"), agg.delta(agg.mean("is_fraud"))])
def test_a_request_does_not_bring_its_outcome(refusal, aggregate):
    assert refusal(x=aggregate).endswith(f"x=agg.{aggregate.kind}): a request does not bring its outcome")


def test_history_needs_a_time(refusal):
    @mw.event
    class Row:
        x: float

    assert refusal(event=Row, n=agg.count()).startswith("FeatureView(Row): history needs a time, and Row declares none")


@pytest.mark.parametrize(
    "kind", ["sum", "mean", "min", "max", "std", "last", "first", "count_distinct", "lag", "change"]
)
@pytest.mark.parametrize("column", [None, "", 5])
def test_an_aggregate_names_its_column(kind, column):
    with pytest.raises(DeclarationError, match=rf"agg\.{kind}\({column!r}\): name the event's column as a string"):
        getattr(agg, kind)(column)


@pytest.mark.parametrize("k", [0, -1, 1.5, "2", True])
def test_a_lag_counts_from_one(k):
    with pytest.raises(DeclarationError, match=r"agg\.lag\('x', .*\): the lag is a whole number from 1 up"):
        agg.lag("x", k)


def test_a_window_is_a_duration():
    assert agg.count(over=timedelta(hours=1)) == agg.count(over="1h") == Aggregate(kind="count", over_us=3_600_000_000)
    with pytest.raises(DeclarationError, match=r"agg\.mean\(over=\)='a week' is not a duration"):
        agg.mean("x", over="a week")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amount >", "is not a Python expression"),
        ("", "is not a Python expression"),
        (5, "is not a Python expression"),
        ("not " * 100_000 + "amount", "is not a Python expression"),
        ("open('x')", "uses Call"),
        ("amount.real > 1", "uses Attribute"),
        ("[x for x in country]", "uses ListComp"),
        ("amount ** 2 > 1", "uses Pow"),
        ("amount if country else 1", "uses IfExp"),
        ("1 > 2", "reads no column"),
    ],
)
def test_a_condition_is_an_expression_over_columns_and_no_more(text, said):
    with pytest.raises(DeclarationError, match="where=") as caught:
        agg.count(where=text)
    assert said in str(caught.value)


def test_a_condition_knows_what_it_reads():
    assert Condition("not (a + b * 2 >= -1.5) and c in ['x', 'y'] or d not in (1, 2)").names == {"a", "b", "c", "d"}


@pytest.mark.parametrize("kind", ["count_distinct", "distinct_ratio", "top_k"])
def test_a_set_needs_a_window(kind):
    with pytest.raises(DeclarationError, match=rf"agg\.{kind}\('x'\): it holds every different value.*over="):
        getattr(agg, kind)("x")
    assert getattr(agg, kind)("x", over="1d", most=9).most == 9
    for most in (0, -1, 2.0, "9", True, 2**40):
        with pytest.raises(DeclarationError, match=rf"agg\.{kind}\('x', most=.*\): most is a whole number from 1 up"):
            getattr(agg, kind)("x", over="1d", most=most)


@pytest.mark.parametrize("q", [-0.1, 1.1, "half", True, None, float("nan")])
def test_a_quantile_is_from_0_to_1(q):
    with pytest.raises(DeclarationError, match="q is a number from 0 to 1; the median is 0.5"):
        agg.quantile("x", q, over="1d")


def test_a_quantile_needs_a_window():
    with pytest.raises(DeclarationError, match="agg.quantile.*give it a window"):
        agg.quantile("x", 0.5)


def test_a_rate_needs_a_window():
    with pytest.raises(DeclarationError, match="agg.rate.*give it a window"):
        agg.rate(over=None)


def test_top_k_gives_one_value():
    assert agg.top_k("x", over="1d") == agg.top_k("x", 1, over="1d")
    with pytest.raises(DeclarationError, match="k above 1 is not built yet; use k=1"):
        agg.top_k("x", 3, over="1d")
    with pytest.raises(DeclarationError, match="k is a whole number from 1 up"):
        agg.top_k("x", 0, over="1d")


@pytest.mark.parametrize("half_life", ["0s", "soon", None])
def test_a_half_life_is_a_duration(half_life):
    with pytest.raises(DeclarationError, match="half_life"):
        agg.ewm("x", half_life=half_life)


@pytest.mark.parametrize(
    "aggregate", [agg.count(), agg.sum("x"), agg.std("x"), agg.change("x"), agg.delta(agg.last("x"))]
)
def test_a_delta_compares_with_a_value(aggregate):
    with pytest.raises(DeclarationError, match=rf"agg\.{aggregate.kind} is no value of a column; compare with one of"):
        agg.delta(aggregate)


def test_a_delta_is_of_an_aggregate():
    with pytest.raises(DeclarationError, match="agg.delta\\('x'\\): give it an aggregate"):
        agg.delta("x")


@pytest.mark.parametrize(
    "aggregate", [agg.last("body"), agg.lag("body"), agg.top_k("body", over="1d"), agg.first("body")]
)
def test_no_feature_is_a_free_text(aggregate):
    @mw.event(time="at")
    class Note:
        at: datetime
        body: Annotated[str, mw.Meta(text=True)]

    mw.FeatureView(Note, by=None, different=agg.count_distinct("body", over="1d"))
    with pytest.raises(
        DeclarationError, match=rf"FeatureView\(Note, x=\): body is free text, and agg.{aggregate.kind} of it"
    ):
        mw.FeatureView(Note, by=None, x=aggregate)
