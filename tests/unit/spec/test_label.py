"""`mw.Label.ahead`: what may be read from later events, of what kind, and by which key."""

import pytest

import modelwright as mw
from modelwright import agg
from modelwright.core.errors import DeclarationError

DAY = 86_400_000_000


def ahead(*arguments, **settings):
    return mw.Label.ahead(*arguments, **settings)


def test_it_is_known_a_microsecond_after_its_window(declare):
    label = declare(label=ahead(agg.count(over="30d"), name="again", kind=bool)).label
    assert (label.name, label.kind, label.delay_us, label.by) == ("again", "bool", 30 * DAY + 1, ("card_id",))
    assert label.task == "classification"
    assert label.ahead == agg.count(over="30d")


def test_a_label_that_is_told_is_as_it_was(declare):
    label = declare().label
    assert (label.ahead, label.by, label.delay_us) == (None, (), 7 * DAY)
    assert label.described == "told, 7d after the event"


@pytest.mark.parametrize(("by", "found"), [("country", ("country",)), (("card_id", "country"),) * 2, (None, ())])
def test_the_key_is_a_column_several_or_none(declare, by, found):
    assert declare(label=ahead(agg.count(over="1d"), by=by)).label.by == found


@pytest.mark.parametrize(
    ("aggregate", "kind", "found"),
    [
        (agg.count(over="1d"), None, "int"),
        (agg.count_distinct("country", over="1d"), None, "int"),
        (agg.count(over="1d"), float, "float"),
        (agg.rate(over="1d"), None, "float"),
        (agg.sum("amount", over="1d"), None, "float"),
        (agg.sum("amount", over="1d"), bool, "bool"),
        (agg.quantile("amount", 0.9, over="1d"), None, "float"),
        (agg.first("country", over="1d"), str, "str"),
        (agg.top_k("country", over="1d", k=1), str, "str"),
        (agg.distinct_ratio("country", over="1d"), None, "float"),
    ],
)
def test_its_kind_is_the_aggregates(declare, aggregate, kind, found):
    assert declare(label=ahead(aggregate, kind=kind)).label.kind == found


@pytest.mark.parametrize(
    ("aggregate", "settings", "said"),
    [
        ("count", {}, r"'count' is no aggregate; use agg\.count"),
        (agg.count(), {}, "has no window, so its outcome would never be known"),
        (agg.time_since_last(over="1d"), {}, "looks back from a request"),
        (agg.lag("amount", 2, over="1d"), {}, "looks back from a request"),
        (agg.change("amount", over="1d"), {}, "looks back from a request"),
        (agg.delta(agg.mean("amount", over="1d")), {}, "looks back from a request"),
        (agg.ewm("amount", half_life="1d", over="1d"), {}, "looks back from a request"),
        (agg.count(over="1d"), {"name": "a b"}, "Python identifier"),
        (agg.count(over="1d"), {"by": 3}, "name a field, several, or None"),
        (agg.count(over="1d"), {"kind": str}, r"agg\.count gives one of bool, float, int"),
        (agg.mean("amount", over="1d"), {"kind": int}, r"agg\.mean gives one of bool, float"),
        (agg.count(over="1d"), {"kind": "bool"}, r"agg\.count gives one of"),
    ],
)
def test_what_says_nothing_of_what_comes_is_refused(aggregate, settings, said):
    with pytest.raises(DeclarationError, match=r"Label\.ahead.*" + said):
        ahead(aggregate, **settings)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (ahead(agg.count(over="1d"), by="kard"), "Payment has no field 'kard'; its fields are payment_id, card_id"),
        (ahead(agg.sum("amout", over="1d")), "Payment has no field 'amout'"),
        (ahead(agg.count(over="1d", where="ahead > 0")), "Payment has no field 'ahead'"),
        (ahead(agg.sum("country", over="1d")), r"agg\.sum needs a number, and country is a str"),
        (ahead(agg.mean("country", over="1d")), r"agg\.mean needs a number, and country is a str"),
        (ahead(agg.first("country", over="1d")), "country is a str, so the label is one too; say kind=str"),
        (ahead(agg.first("amount", over="1d"), kind=str), "amount, a float, is no str; say kind=float"),
        (ahead(agg.sum("amount", over="1d"), kind=int), "amount, a float, is no int; say kind=float"),
        (ahead(agg.first("at", over="1d")), "a time is no outcome"),
        (ahead(agg.count(over="1d"), by=("card_id", "at")), "no later event has the same at"),
        (ahead(agg.count(over="1d"), name="amount"), "the label 'amount' is also an input"),
    ],
)
def test_what_the_events_cannot_give_is_refused(declare, label, said):
    with pytest.raises(DeclarationError, match=said):
        declare(label=label)


def test_evidence_has_time_to_come(declare):
    assert declare(label=ahead(agg.count(over="30d"))).rollout.within_us == 2 * (30 * DAY + 1)
    with pytest.raises(
        DeclarationError,
        match=r"evidence may take 14d, and an outcome is known 30d after its event, .* give a longer within=",
    ):
        declare(label=ahead(agg.count(over="30d")), rollout=mw.rollout.shadow())


def test_views_over_the_outcome_read_it_as_any_other(declare, payment):
    view = mw.FeatureView(payment, by=None, came_back=agg.mean("again", over="30d"))
    declare(label=ahead(agg.count(over="7d"), name="again"), features=[view])
