"""Parity checks: what was served stands in the log, and whatever is not what the log gives is found, named and sized."""

import json
import math
from contextlib import closing

import numpy as np
import pytest

from modelwright.core.clock import SimulatedClock, iso
from modelwright.features.online import OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.features.strings import MemoryStrings
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.parity import GONE, NO_EVENT, NOT_LIVE, check_parity, last_of, last_parity
from modelwright.registry.publish import publish
from modelwright.release.manifest import Manifest
from modelwright.spec import agg
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec
from modelwright.spec.view import ViewSpec

T0 = 1_700_000_000_000_000
MINUTE = 60_000_000
LABEL = LabelSpec(name="fraud", kind="bool", delay_us=MINUTE)
COLUMN = LabelColumn("fraud", "bool")
CARD = {
    "n": agg.count(over="10m"),
    "usual": agg.mean("amount", over="10m"),
    "last_shop": agg.last("shop"),
    "frauds": agg.sum("fraud"),
    "idle": agg.time_since_last(),
    "change": agg.change("amount"),
}


def view(by=("card",), **features):
    return ViewSpec(event="Pay", by=by, features=features)


class Shop:
    """A log of payments that are answered as serving answers them: features by the online host, in order of arrival.
    Releases are made before the first payment."""

    def __init__(self, log):
        self.log = log
        self.releases = {}
        self.asked = 0

    def release(self, number, *views):
        manifest = Manifest(
            system="pay", kind="model", runtime="constant", label=LABEL, metric="roc_auc", inputs=(), views=views,
            model=str(number),
        )  # fmt: skip
        name, _ = publish(self.log.workspace.releases, number, manifest, {}, {})
        self.releases[name] = OnlineHost(views, self.log.schema.contract, COLUMN, MemoryStrings()) if views else None
        return name

    def event(self, write, id, at_us, values, **more):
        seq = write.event(id, at_us, values, digest=id.encode(), **more)
        for host in self.releases.values():
            if host is not None:
                host.append_event(seq, at_us, values)
        return seq

    def served(self, release, at_us, values):
        host = self.releases[release]
        names = () if host is None else host.names
        read = [] if host is None else host.read(values, at_us)
        given = dict(zip(names, read, strict=True))
        return {name: None if isinstance(one, float) and math.isnan(one) else one for name, one in given.items()}

    def ask(self, release, card="c", amount=1.5, shop="a", shadow=None, wrong=None):
        """One payment, answered by a release and scored in shadow by another; `wrong(features)` spoils what is logged."""
        self.asked += 1
        id, at_us = f"p{self.asked}", T0 + self.asked * MINUTE
        values = [id, card, at_us, amount, shop]
        features = {name: self.served(name, at_us, values) for name in (release, shadow) if name is not None}
        with self.log.write() as write:
            seq = self.event(write, id, at_us, values)
            text = json.dumps(features[release])
            text = text if wrong is None else wrong(features[release])
            self.log.clock.advance(at_us)
            write.prediction(seq, id, at_us, at_us, release, "champion", True, 0.5, None, text)
            if shadow is not None:
                write.prediction(
                    seq, id, at_us, at_us, shadow, "challenger", True, 0.5, None, json.dumps(features[shadow])
                )
        return seq

    def tell(self, number, fraud):
        with self.log.write() as write:
            row = write.outcome(f"p{number}", fraud, T0 + self.asked * MINUTE + 1)
            values = write.event_values(f"p{number}")[2]
        if row is None:  # told already
            return
        for host in self.releases.values():
            if host is not None:
                host.append_outcome(row.seq, row.event_seq, row.known_us, fraud, values)

    def some(self, release, count, **more):
        """Payments by three cards, some without an amount or a shop, with outcomes now and then, some corrected."""
        for i in range(count):
            amount = None if i % 7 == 3 else 0.1 * (i + 1)
            self.ask(release, f"c{i % 3}", amount, None if i % 5 == 2 else "abc"[i % 3], **more)
            if i % 2:
                self.tell(self.asked, i % 3 == 0)
            if i % 6 == 5:
                self.tell(self.asked - 2, i % 4 == 1)


@pytest.fixture
def log(tmp_path):
    fields = [("pid", "str"), ("card", "str"), ("at", "time"), ("amount", "float"), ("shop", "str")]
    made = tuple(Field(name=n, kind=k, column=n, nullable=n in ("amount", "shop")) for n, k in fields)
    contract = Contract(name="Pay", fields=made, id="pid", entity="card", time="at")
    schema = LogSchema(contract, LABEL.name, LABEL.kind)
    with closing(Log.open(Workspace(tmp_path / "state"), schema, SimulatedClock(T0))) as opened:
        yield opened


@pytest.fixture
def shop(log):
    return Shop(log)


def found(report, name):
    (one,) = [feature for feature in report.features if feature.feature == name]
    return one


def changed(**values):
    return lambda features: json.dumps(features | {n: v(features[n]) if callable(v) else v for n, v in values.items()})


def test_what_was_served_is_what_the_log_gives_wherever_it_lies_and_in_any_batches(shop):
    release = shop.release(1, view(**CARD), view((), all_n=agg.count(), mid=agg.quantile("amount", 0.5, over="20m")))
    shop.some(release, 40)
    shop.log.drain()
    shop.some(release, 17)
    report = check_parity(shop.log)
    assert (report.checked, report.shadow, report.differ, report.not_comparable) == (57, 0, {}, {})
    assert {one.feature for one in report.features} == {*CARD, "all_n", "mid"}
    assert {(one.compared, one.differ, one.first) for one in report.features} == {(57, 0, None)}
    assert report.summary == "57 answers checked: served features equal recomputed ones"
    for batch in (1, 7, 50):
        assert check_parity(shop.log, batch=batch) == report


def test_a_wrong_number_is_found_sized_and_named(shop):
    release = shop.release(1, view(**CARD))
    shop.some(release, 12)
    first = shop.ask(release, "c0", wrong=changed(usual=lambda usual: usual * 1.5))
    shop.ask(release, "c0", wrong=changed(usual=lambda usual: usual + 4.0))
    report = check_parity(shop.log)
    assert report.differ == {"usual": 2}
    assert report.checked == 14
    one = found(report, "usual")
    assert (one.compared, one.differ) == (14, 2)
    assert one.largest == pytest.approx(4.0)
    assert one.first.served == one.first.recomputed * 1.5
    assert one.relative == pytest.approx(4.0 / (4.0 + one.first.recomputed), rel=0.2)
    assert (one.first.id, one.first.at, one.first.release) == ("p13", iso(T0 + 13 * MINUTE), release)
    assert one.first.seq == first + 1  # its prediction's row
    assert report.summary == "served features differ from recomputed ones over 14 answers: usual (2)"
    assert check_parity(shop.log, batch=3) == report


def test_the_last_bit_counts(shop):
    release = shop.release(1, view(**CARD))
    shop.some(release, 12)
    shop.ask(release, "c0", wrong=changed(usual=lambda usual: float(np.nextafter(usual, 9.0))))
    one = found(check_parity(shop.log), "usual")
    assert one.differ == 1
    assert 0 < one.largest < 1e-15


def test_missing_equals_missing_and_nothing_else(shop):
    release = shop.release(1, view(**CARD))
    shop.ask(release)
    assert check_parity(shop.log).differ == {}  # mean, last, idle and change of nothing
    shop.ask(release, "new", wrong=changed(usual=0.0, idle=0.0))
    shop.ask(release, wrong=changed(n=None))
    report = check_parity(shop.log)
    assert report.differ == {"n": 1, "usual": 1, "idle": 1}
    usual, n = found(report, "usual"), found(report, "n")
    assert (usual.first.served, usual.first.recomputed, usual.largest, usual.relative) == (0.0, None, None, None)
    assert (n.first.served, n.first.recomputed, n.largest) == (None, 1, None)


def test_texts_are_equal_or_not(shop):
    release = shop.release(1, view(**CARD))
    shop.ask(release, shop="a")
    shop.ask(release, shop="b", wrong=changed(last_shop="A"))
    shop.ask(release, wrong=changed(last_shop=None))
    one = found(check_parity(shop.log), "last_shop")
    assert (one.compared, one.differ, one.largest) == (3, 2, None)
    assert (one.first.id, one.first.served, one.first.recomputed) == ("p2", "A", "a")


def test_zero_has_a_sign(shop):
    release = shop.release(1, view(**CARD))
    shop.ask(release, wrong=changed(frauds=-0.0))
    one = found(check_parity(shop.log), "frauds")
    assert (one.differ, one.largest, one.relative) == (1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda features: json.dumps({n: v for n, v in features.items() if n != "idle"}), "required field `idle`"),
        (lambda features: json.dumps(features | {"more": 1.0}), "unknown field `more`"),
        (changed(usual="much"), "Expected `float | null`, got `str`"),
        (changed(last_shop=3), "Expected `str | null`, got `int`"),
        (lambda features: "{", "truncated"),
        (lambda features: "[]", "Expected `object`, got `array`"),
    ],
)
def test_what_its_views_do_not_explain_is_counted_with_the_reason(shop, wrong, said):
    release = shop.release(1, view(**CARD))
    shop.some(release, 5)
    shop.ask(release, wrong=wrong)
    report = check_parity(shop.log)
    assert (report.checked, report.differ) == (5, {})
    ((reason, rows),) = report.not_comparable.items()
    assert rows == 1
    assert reason.startswith("the features they were served with are not their views'")
    assert said in reason
    assert report.summary.endswith("; 1 not comparable")


def test_each_row_is_checked_against_the_views_of_the_release_that_answered(shop):
    old = shop.release(1, view(n=agg.count(over="2m"), usual=agg.mean("amount", over="5m")))
    new = shop.release(2, view(n=agg.count()), view((), everything=agg.count()))
    for release in (old, new, old, new):
        shop.some(release, 6)
    report = check_parity(shop.log)
    assert (report.checked, report.differ, report.not_comparable) == (24, {}, {})
    assert {one.feature: one.compared for one in report.features} == {"n": 24, "usual": 12, "everything": 12}


def test_a_challengers_row_is_checked_where_its_views_are_others(shop):
    champion = shop.release(1, view(n=agg.count()))
    alike = shop.release(2, view(n=agg.count()))
    other = shop.release(3, view(total=agg.sum("amount")))
    shop.some(champion, 6, shadow=alike)
    shop.some(champion, 4, shadow=other)
    for batch in (1, 2, 100_000):
        report = check_parity(shop.log, batch=batch)
        assert (report.checked, report.shadow, report.differ) == (10, 4, {})
        assert {one.feature: one.compared for one in report.features} == {"n": 10, "total": 4}


def test_an_answer_without_views_has_nothing_that_could_differ(shop):
    release = shop.release(1)
    shop.some(release, 3)
    report = check_parity(shop.log)
    assert (report.checked, report.features, report.not_comparable) == (3, [], {})
    shop.ask(release, wrong=changed(n=1))
    report = check_parity(shop.log)
    assert (report.checked, list(report.not_comparable.values())) == (3, [1])


def test_what_cannot_be_recomputed_is_counted_and_the_rest_is_checked(shop):
    release = shop.release(1, view(**CARD))
    shop.some(release, 4)
    with shop.log.write() as write:  # an event of a history file that is asked for
        seq = shop.event(write, "file", T0, ["file", "c", T0, 1.0, "a"], live=False)
        write.prediction(seq, "file", T0, T0, release, "champion", True, 0.5, None, "{}")
        write.prediction(10**6, "nobody", T0, T0, release, "champion", True, 0.5, None, "{}")
        write.prediction(seq, "file", T0, T0, "r9-000000000000", "champion", True, 0.5, None, "{}")
    report = check_parity(shop.log)
    assert (report.checked, report.differ) == (4, {})
    assert report.not_comparable == {NOT_LIVE: 1, NO_EVENT: 1, GONE: 1}


def test_views_that_no_longer_fit_the_log_say_so(shop):
    release = shop.release(1)
    shop.some(release, 2)
    shop.log.workspace.releases.joinpath(release).rename(shop.log.workspace.releases / "moved")
    manifest = Manifest(
        system="pay", kind="model", runtime="constant", label=LABEL, metric="roc_auc", inputs=(),
        views=(view(colours=agg.sum("colour")),),
    )  # fmt: skip
    name, _ = publish(shop.log.workspace.releases, 1, manifest, {}, {})
    shop.log.workspace.releases.joinpath(name).rename(shop.log.workspace.releases / release)
    report = check_parity(shop.log)
    ((reason, rows),) = report.not_comparable.items()
    assert rows == 2
    assert report.summary == "no answer could be compared; 2 not comparable"
    assert reason.startswith("their views no longer fit the log: ")
    assert "colour" in reason


def test_only_the_rows_asked_for_are_checked(shop):
    release = shop.release(1, view(**CARD))
    seqs = [shop.ask(release) for _ in range(10)]
    shop.log.drain()
    seqs += [shop.ask(release) for _ in range(10)]
    for after, upto, rows in ((seqs[4], seqs[14], 10), (seqs[14], None, 6), (0, seqs[14], 14), (seqs[-1] + 1, None, 0)):
        report = check_parity(shop.log, after, upto)
        assert (report.checked, report.from_seq) == (rows, after + 1)
        assert report.upto_seq == (shop.log.head() if upto is None else upto)


def test_the_last_so_long_is_counted_back_from_the_newest_prediction(shop):
    release = shop.release(1, view(**CARD))
    shop.some(release, 30)
    shop.log.drain()
    shop.some(release, 3)
    for minutes in (0, 1, 5, 32, 100):
        for batch in (1, 10, 1_000):
            after = last_of(shop.log, minutes * MINUTE, batch=batch)
            assert check_parity(shop.log, after).checked == min(minutes + 1, 33)


def test_no_more_is_read_back_than_is_wanted(shop, monkeypatch):
    release = shop.release(1)
    shop.some(release, 30)
    read, predictions = [], shop.log.predictions
    monkeypatch.setattr(shop.log, "predictions", lambda after, upto: read.append(after) or predictions(after, upto))
    last_of(shop.log, 3 * MINUTE, batch=10)
    assert len(read) <= 2


def test_a_log_without_predictions_has_nothing_to_check(shop):
    assert check_parity(shop.log).checked == 0
    assert last_of(shop.log, MINUTE) == 0


def test_progress_is_told_to_the_end(shop):
    release = shop.release(1)
    shop.some(release, 10)
    told = []
    check_parity(shop.log, batch=8, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (8, shop.log.head())
    assert told[-1] == (shop.log.head(), shop.log.head())


def test_the_last_check_of_a_journal_and_how_many_found_differences(log):
    assert last_parity(log.journal.rows()) is None
    for differ in ({}, {"n": 2}, {}):
        evidence = {"checked": 5, "differ": differ, "not_comparable": {}}
        log.journal.append("parity", T0, summary="said", evidence=evidence, observed={"upto_seq": 9})
    log.journal.append("error", T0, summary="something else")
    last = last_parity(log.journal.rows())
    assert (last.at, last.checked, last.differ, last.differed) == (iso(T0), 5, {}, 1)
