import json

import msgspec
import pytest

from modelwright.core.clock import from_us
from modelwright.core.errors import ConflictError, ContractError, ReleaseError, UnavailableError, UnknownEventError
from modelwright.core.share import is_in_share
from modelwright.lake.journal import Pointer
from modelwright.serving import answering, dataplane
from modelwright.serving.dataplane import Dataplane
from modelwright.serving.messages import Accepted, Answer, OutcomeBody
from modelwright.spec import agg


def work(plane, jobs):
    """What the plane answers, decoded: predictions leave it as the bytes that are stored and sent."""

    def decoded(entry):
        return msgspec.json.decode(entry, type=Answer) if isinstance(entry, msgspec.Raw) else entry

    return [[decoded(entry) for entry in answer] if isinstance(answer, list) else answer for answer in plane.work(jobs)]


@pytest.fixture
def live(plane, release):
    """A data plane with a champion; gives its model."""
    made, model = release("r1", 0.25)
    plane.swap(plane.prepare(made), None, None)
    return model


def features_of(plane, number):
    """What the prediction for an event was made from."""
    rows = [row for row in plane.log.predictions().to_pylist() if row["id"] == f"p{number}"]
    return json.loads(rows[-1]["features"])


def test_a_batch_of_jobs_is_one_commit_and_one_call_of_the_model(plane, live, pay, fraud):
    work(plane, [("event", [pay(0)])])
    jobs = [("predict", [pay(1), pay(2)]), ("event", [pay(3)]), ("outcome", [fraud(0)]), ("predict", [pay(4)])]
    predicted, told, known, again = work(plane, jobs)
    assert [answer.id for answer in predicted] == ["p1", "p2"]
    assert predicted[0].probabilities == {"false": 0.75, "true": 0.25}
    assert (predicted[0].score, predicted[0].prediction, predicted[0].release) == (0.25, False, "r1")
    assert told == [Accepted("p3", False)]
    assert known == [Accepted("p0", False)]
    assert again[0].id == "p4"
    assert live.calls == [3]
    assert plane.counters.commits == 2
    assert [features_of(plane, number)["n"] for number in (1, 2, 4)] == [1, 2, 4]


def test_an_outcome_in_the_batch_counts_for_the_predictions_in_it(plane, live, pay, fraud, clock):
    work(plane, [("event", [pay(0, seconds=0)])])
    clock.advance(clock.now_us() + 10)
    late = pay(1, seconds=3600.00001)  # asked for at the moment the outcome is known
    work(plane, [("predict", [late]), ("outcome", [fraud(0)])])
    assert features_of(plane, 1)["frauds"] == 1


def test_an_outcome_of_an_event_in_the_same_batch_waits_for_it(plane, live, pay, fraud):
    answers = work(plane, [("outcome", [fraud(1)]), ("predict", [pay(1)])])
    assert answers[0] == [Accepted("p1", False)]
    assert answers[1][0].id == "p1"


def test_a_repeat_gets_the_stored_answer_whatever_is_live(plane, live, release, pay):
    first = work(plane, [("predict", [pay(1)])])[0][0]
    other, model = release("r2", 0.75)
    plane.swap(plane.prepare(other), plane.champion, None)
    assert work(plane, [("predict", [pay(1)])])[0][0] == first
    assert work(plane, [("predict", [pay(2)])])[0][0].release == "r2"
    assert model.calls == [1]
    assert plane.log.counts() == {"events": 2, "predictions": 2, "outcomes": 0}


def test_an_id_with_another_body_changes_nothing(plane, live, pay):
    work(plane, [("predict", [pay(1)])])
    failed, fine = work(plane, [("predict", [pay(1, amount=2.0)]), ("predict", [pay(2)])])
    assert isinstance(failed, ConflictError)
    assert fine[0].id == "p2"
    assert isinstance(work(plane, [("event", [pay(1, card="d")])])[0], ConflictError)
    assert plane.log.counts()["events"] == 2


def test_an_id_twice_in_a_batch_has_one_answer(plane, live, pay):
    one, two = work(plane, [("predict", [pay(1), pay(1)]), ("predict", [pay(1)])])
    assert one[0] == one[1] == two[0]
    assert one[0].id == "p1"
    assert plane.log.counts() == {"events": 1, "predictions": 1, "outcomes": 0}
    assert (sum(plane.counters.predictions.values()), plane.counters.repeats) == (1, 2)


def test_a_repeat_is_answered_though_the_job_it_was_first_in_fails(plane, live, pay):
    work(plane, [("event", [pay(9)])])
    failed, fine = work(plane, [("predict", [pay(1), pay(9, amount=5.0)]), ("predict", [pay(1)])])
    assert isinstance(failed, ConflictError)
    assert fine[0].id == "p1"


def test_an_event_told_of_before_is_seen_as_of_then(plane, live, pay, fraud):
    work(plane, [("event", [pay(5)])])
    work(plane, [("event", [pay(3)])])  # before it in time, after it in the log
    work(plane, [("predict", [pay(5), pay(6)])])
    assert features_of(plane, 5)["n"] == 0
    assert features_of(plane, 6)["n"] == 2


def test_a_release_that_fails_is_replaced_by_the_one_before_it(plane, live, release, failures, pay):
    good = plane.champion
    bad, model = release("r2", 0.75)
    plane.swap(plane.prepare(bad), good, None)
    model.fails_at = 13.0
    answers = work(plane, [("predict", [pay(1), pay(2, amount=13.0), pay(3)])])[0]
    assert [answer.release for answer in answers] == ["r2", "r1", "r2"]
    assert [name for name, _ in failures] == ["r2"]
    assert plane.counters.failures == {"r2": 1}


def test_without_a_release_before_it_the_event_is_kept_and_may_be_asked_again(plane, live, failures, pay):
    live.fails = True
    one, two = work(plane, [("predict", [pay(1)]), ("predict", [pay(1)])])
    assert isinstance(one, UnavailableError)
    assert isinstance(two, UnavailableError)
    assert failures == []
    assert plane.log.counts() == {"events": 1, "predictions": 0, "outcomes": 0}
    live.fails = False
    work(plane, [("event", [pay(0)])])
    assert work(plane, [("predict", [pay(1)])])[0][0].id == "p1"
    assert features_of(plane, 1)["n"] == 0  # as of when it came
    assert plane.log.counts()["events"] == 2


def test_a_release_that_says_nan_has_not_answered(plane, live, pay):
    live.score = float("nan")
    assert isinstance(work(plane, [("predict", [pay(1)])])[0], UnavailableError)


def test_without_a_release_nothing_is_predicted_and_events_are_taken(plane, pay):
    refused, taken = work(plane, [("predict", [pay(1)]), ("event", [pay(2)])])
    assert isinstance(refused, UnavailableError)
    assert taken == [Accepted("p2", False)]
    assert plane.log.counts()["events"] == 1


def test_an_outcome_of_nobody(plane, live, fraud):
    assert isinstance(work(plane, [("outcome", [fraud(1)])])[0], UnknownEventError)


def test_the_challenger_scores_what_the_champion_scored(plane, live, release, pay):
    other, model = release("r2", 0.75, over="sum")
    plane.swap(plane.champion, None, plane.prepare(other))
    work(plane, [("predict", [pay(1)])])
    assert (plane.shadow_waiting, model.calls) == (1, [])
    plane.score_shadow()
    assert (plane.shadow_waiting, model.calls, plane.counters.shadow) == (0, [1], 1)
    rows = plane.log.predictions().to_pylist()
    assert [(row["release"], row["role"], row["score"]) for row in rows] == [
        ("r1", "champion", 0.25),
        ("r2", "challenger", 0.75),
    ]
    assert set(json.loads(rows[1]["features"])) == {"n", "frauds", "spent"}
    work(plane, [("predict", [pay(2)])])
    plane.swap(plane.champion, None, None)
    assert plane.shadow_waiting == 0


def test_a_challenger_that_fails_harms_no_answer(plane, live, release, failures, pay):
    other, model = release("r2", 0.75)
    plane.swap(plane.champion, None, plane.prepare(other))
    model.fails = True
    work(plane, [("predict", [pay(1)])])
    assert work(plane, [("predict", [pay(2)])])[0][0].release == "r1"
    assert [name for name, _ in failures] == ["r2"]


def test_overload_drops_pairs_and_counts_them(plane, live, release, pay, monkeypatch):
    monkeypatch.setattr(answering, "SHADOW_LIMIT", 2)
    plane.swap(plane.champion, None, plane.prepare(release("r2", 0.75)[0]))
    work(plane, [("predict", [pay(number) for number in range(5)])])
    assert (plane.shadow_waiting, plane.counters.shadow_dropped) == (2, 3)


@pytest.mark.parametrize("limit", [0, 1_000])
def test_rows_that_others_write_are_history_too(plane, live, log, pay, fraud, monkeypatch, limit):
    """Whether they are appended one by one or, where there are too many, loaded again."""
    monkeypatch.setattr(dataplane, "FORGET_AFTER", limit)
    work(plane, [("predict", [pay(1)])])
    other = Dataplane(log, plane.contract, plane.label, plane.clock)
    other.work([("event", [pay(2), pay(3)])])
    other.work([("outcome", [fraud(2)])])
    work(plane, [("predict", [pay(4, seconds=3600)])])
    assert features_of(plane, 4) == {"n": 3, "frauds": 1}


def test_a_commit_that_fails_leaves_no_trace(plane, live, release, log, pay, monkeypatch):
    work(plane, [("predict", [pay(1)])])
    plane.swap(plane.champion, None, plane.prepare(release("r2", 0.75)[0]))
    with monkeypatch.context() as patched:
        patched.setattr(type(log.history), "flush", lambda *_: (_ for _ in ()).throw(OSError("the disk is gone")))
        with pytest.raises(Exception, match="the disk is gone"):
            work(plane, [("predict", [pay(2)])])
    assert plane.shadow_waiting == 0
    work(plane, [("predict", [pay(3)])])
    assert features_of(plane, 3)["n"] == 1
    assert plane.log.counts()["events"] == 2


def test_unseen_texts_are_counted(plane, live, pay):
    work(plane, [("predict", [pay(1, shop="a"), pay(2, shop="z"), pay(3, shop="z")])])
    assert plane.counters.unseen == {"shop": 2}


def test_a_release_of_another_contract_is_not_made_ready(plane, release, contract):
    import msgspec

    made, _ = release("r1", 0.5)
    made.contract = msgspec.structs.replace(contract, name="Other")
    with pytest.raises(ReleaseError, match="another contract"):
        plane.prepare(made)


def test_a_time_ahead_of_the_clock_names_its_field(plane, pay, clock):
    with pytest.raises(ContractError, match="5 minutes") as raised:
        pay(1, seconds=3600 + 301)
    assert raised.value.field == "at"
    pay(1, seconds=3600 + 299)


def test_in_a_replay_the_events_are_the_clock(log, contract, label, clock, release):
    from modelwright.core.clock import SimulatedClock, from_us

    events = SimulatedClock()
    plane = Dataplane(log, contract, label, events, event_clock=events)
    at = from_us(clock.now_us() + 10**15)
    plane.event_of(contract.struct()(pid="p", card="c", at=at, amount=1.0, shop=None))
    assert events.now_us() == clock.now_us() + 10**15


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [("float", 3, 3.0), ("int", 3, 3), ("str", "x", "x"), ("bool", True, True)],
)
def test_an_outcome_is_of_the_labels_kind(log, contract, label, clock, kind, value, taken):
    import msgspec

    plane = Dataplane(log, contract, msgspec.structs.replace(label, kind=kind), clock)
    assert plane.outcome_of(OutcomeBody("p", value)).value == taken
    for wrong in ({"float": "3", "int": 3.5, "str": 3, "bool": 1}[kind], None, [value]):
        with pytest.raises(ContractError) as raised:
            plane.outcome_of(OutcomeBody("p", wrong))
        assert raised.value.field == "outcome"


def test_a_whole_number_to_predict_is_answered_with_an_amount(contract, label, clock, release, tmp_path):
    """A model of counts answers with fractions, and its log takes them."""
    import msgspec
    import numpy as np

    from modelwright.lake.log import Log
    from modelwright.lake.rows import LogSchema
    from modelwright.lake.workspace import Workspace

    counts = msgspec.structs.replace(label, name="sold", kind="int")
    made, model = release("r1", 0.5)
    history = {"n": made.manifest.views[0].features["n"]}
    views = (msgspec.structs.replace(made.manifest.views[0], features=history),)
    made.manifest = msgspec.structs.replace(made.manifest, label=counts, classes=(), views=views)
    model.run = lambda rows: np.full(len(rows), 2.5)
    with Log.open(Workspace(tmp_path / "counts"), LogSchema(contract, "sold", "int"), clock) as log:
        plane = Dataplane(log, contract, counts, clock)
        plane.swap(plane.prepare(made), None, None)
        from modelwright.core.clock import from_us

        event = plane.event_of(contract.struct()(pid="p", card="c", at=from_us(clock.now_us()), amount=1.0, shop=None))
        answer = work(plane, [("predict", [event])])[0][0]
        assert answer.prediction == 2.5
        assert log.predictions()["prediction"].to_pylist() == [2.5]
        log.drain()
        assert log.predictions()["prediction"].to_pylist() == [2.5]


@pytest.fixture
def strict(plane, release):
    """A data plane whose champion takes events up to a minute late."""
    made, model = release("r1", 0.25, lateness_us=60_000_000)
    plane.swap(plane.prepare(made), None, None)
    return model


def test_an_event_that_comes_too_late_is_logged_and_no_history(plane, strict, pay):
    work(plane, [("event", [pay(1, seconds=100)])])
    told = work(plane, [("event", [pay(2, seconds=39.999999), pay(3, seconds=40), pay(4, card="d", seconds=0)])])[0]
    assert told == [Accepted("p2", False, True), Accepted("p3", False), Accepted("p4", False)]
    assert msgspec.json.encode(told[:2]) == b'[{"id":"p2","repeated":false,"late":true},{"id":"p3","repeated":false}]'
    assert plane.counters.late == 1
    work(plane, [("predict", [pay(5, seconds=100.5)])])
    plane.hosts.forget()
    work(plane, [("predict", [pay(6, seconds=101)])])
    assert [features_of(plane, number)["n"] for number in (5, 6)] == [2, 3]


def test_a_prediction_asked_for_too_late_is_refused(plane, strict, pay):
    work(plane, [("event", [pay(1, seconds=100), pay(2, seconds=50)])])
    refused, answered = work(plane, [("predict", [pay(3, seconds=39)]), ("predict", [pay(4, seconds=41)])])
    assert isinstance(refused, ContractError) and refused.field == "at"
    assert str(refused).startswith(
        "at: the event is older than the newest of its key by more than the declared lateness"
    )
    assert answered[0].id == "p4" and plane.log.head() == 4
    # What the log holds is asked for as of when it came, and a repeat gets its answer, however late.
    work(plane, [("event", [pay(5, seconds=200)])])
    told, again = work(plane, [("predict", [pay(2, seconds=50)]), ("predict", [pay(4, seconds=41)])])
    assert told[0].id == "p2" and features_of(plane, 2)["n"] == 0
    assert again[0] == answered[0]


def test_what_a_file_brings_is_never_late(plane, strict, pay):
    work(plane, [("event", [pay(1, seconds=100)])])
    event = pay(2, seconds=0)
    with plane.log.write() as write:
        write.event(event.id, event.at_us, event.values, digest=event.digest, live=False)
    work(plane, [("predict", [pay(3, seconds=101)])])
    plane.hosts.forget()
    work(plane, [("predict", [pay(4, seconds=102)])])
    assert [features_of(plane, number)["n"] for number in (3, 4)] == [2, 3]


def test_an_outcome_that_is_read_from_later_events_is_not_taken(log, contract, label, clock):
    ahead = msgspec.structs.replace(label, ahead=agg.count(over="1m"), by=("card",))
    plane = Dataplane(log, contract, ahead, clock)
    with pytest.raises(
        ContractError, match="fraud is not told but read from later events .* send the events"
    ) as refused:
        plane.outcome_of(OutcomeBody("p1", True))
    assert refused.value.field == "outcome"


def split(plane, release, share):
    """A champion and a challenger that answers so much; gives their models."""
    ours, one = release("r1", 0.25)
    theirs, other = release("r2", 0.75)
    pointer = Pointer(champion="r1", challenger="r2", phase="canary", share=share, rollout="r2")
    plane.swap(plane.prepare(ours), None, plane.prepare(theirs), pointer)
    return one, other


def test_in_a_canary_the_challenger_answers_its_share_and_the_champion_scores_it(plane, release, pay):
    split(plane, release, 0.25)
    cards = [f"c{number}" for number in range(200)]
    jobs = [("predict", [pay(number, card=card) for number, card in enumerate(cards)])]
    answers = work(plane, jobs)[0]
    theirs = {card for card, answer in zip(cards, answers, strict=True) if answer.release == "r2"}
    assert theirs == {card for card in cards if is_in_share(card, "r2", 0.25)}
    assert 20 < len(theirs) < 80
    assert {(answer.release, answer.score) for answer in answers} == {("r1", 0.25), ("r2", 0.75)}
    assert [answer.id for answer in answers] == [f"p{number}" for number in range(200)]
    plane.score_shadow()
    rows = plane.log.predictions().to_pylist()
    said = {(row["id"], row["role"]): (row["release"], row["score"]) for row in rows}
    assert len(rows) == len(said) == 400
    for answer in answers:
        other = ("r2", 0.75) if answer.release == "r1" else ("r1", 0.25)
        assert said[answer.id, "champion"] == (answer.release, answer.score)
        assert said[answer.id, "challenger"] == other
    assert plane.counters.predictions == {"r1": 200 - len(theirs), "r2": len(theirs)}


def test_a_card_stays_with_who_answered_it_as_the_share_grows(plane, release, pay):
    split(plane, release, 0.05)
    cards = [f"c{number}" for number in range(100)]

    def by_challenger(first):
        answers = work(plane, [("predict", [pay(first + place, card=card) for place, card in enumerate(cards)])])[0]
        return {card for card, answer in zip(cards, answers, strict=True) if answer.release == "r2"}

    before = by_challenger(0)
    assert before == by_challenger(100)
    split(plane, release, 0.5)
    assert before < by_challenger(200)
    again = work(plane, [("predict", [pay(0, card="c0")])])[0][0]  # an id that was answered: as it was then
    assert again.release == ("r2" if "c0" in before else "r1")


def test_a_challenger_that_fails_in_its_share_costs_nobody_an_answer(plane, release, failures, pay):
    _, model = split(plane, release, 0.5)
    model.fails_at = 13.0
    jobs = [("predict", [pay(n, card=f"c{n}", amount=13.0 if n % 2 else 1.0) for n in range(40)])]
    answers = work(plane, jobs)[0]
    theirs = [n for n in range(40) if is_in_share(f"c{n}", "r2", 0.5)]
    assert [n for n, answer in enumerate(answers) if answer.release == "r2"] == [n for n in theirs if n % 2 == 0]
    assert {name for name, _ in failures} == {"r2"}
    assert plane.counters.failures == {"r2": sum(n % 2 for n in theirs)}


def test_a_champion_that_fails_beside_an_answer_is_not_told_of(plane, release, failures, pay):
    model, _ = split(plane, release, 0.5)
    model.fails_at = 13.0
    cards = [f"c{n}" for n in range(40) if is_in_share(f"c{n}", "r2", 0.5)]
    work(plane, [("predict", [pay(n, card=card, amount=13.0 if n % 2 else 1.0) for n, card in enumerate(cards)])])
    plane.score_shadow()
    assert failures == []
    beside = [row["id"] for row in plane.log.predictions().to_pylist() if row["role"] == "challenger"]
    assert beside == [f"p{n}" for n in range(0, len(cards), 2)]


def test_the_release_before_a_new_champion_scores_beside_it_while_it_is_watched(plane, release, pay, clock):
    old, new = plane.prepare(release("r1", 0.25)[0]), plane.prepare(release("r2", 0.75)[0])
    plane.swap(new, old, None, Pointer(champion="r2", previous="r1", watch_until_us=clock.now_us() + 1_000))
    assert work(plane, [("predict", [pay(1)])])[0][0].release == "r2"
    plane.score_shadow()
    clock.advance(clock.now_us() + 1_000)
    work(plane, [("predict", [pay(2)])])
    plane.score_shadow()
    rows = [(row["id"], row["release"], row["role"]) for row in plane.log.predictions().to_pylist()]
    assert rows == [("p1", "r2", "champion"), ("p1", "r1", "challenger"), ("p2", "r2", "champion")]


def test_how_long_each_release_takes_is_told(log, contract, label, clock, release):
    took = []

    class Watching:
        def took(self, name, seconds):
            took.append((name, seconds > 0))

        def keep(self, names):
            took.append(names)

    plane = Dataplane(log, contract, label, clock, slowness=Watching())
    split(plane, release, 0.5)
    event = plane.contract.struct()
    cards = [f"c{number}" for number in range(20)]
    plane.work(
        [
            (
                "predict",
                [
                    plane.event_of(event(pid=card, card=card, at=from_us(clock.now_us()), amount=1.0, shop="a"))
                    for card in cards
                ],
            )
        ]
    )
    assert took == [{"r1", "r2"}, ("r1", True), ("r2", True)]
