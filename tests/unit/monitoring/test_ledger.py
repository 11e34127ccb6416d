"""Predictions meet outcomes once, in any order of arrival, and pairs are what both releases scored."""

import numpy as np
import pytest

from modelwright.monitoring.ledger import RECENT, Ledger, Scored, as_predictions

DUE_US = 1_000
"""After every event of these tests."""


def said(release, value, score=None):
    return Scored(release, value, None if score is None else (1 - score, score), (False, True))


def ledger():
    return Ledger("accuracy", (False, True))


def test_a_prediction_settles_when_its_outcome_is_known():
    book = ledger()
    book.predicted(1, 10, said("r1", True, 0.9))
    book.predicted(2, 20, said("r1", True, 0.8))
    book.settle()
    assert len(book.account) == 0
    assert np.isnan(book.value())
    book.known(2, False)
    book.settle()
    book.known(1, True)
    book.settle()
    assert (book.account.event_seq, book.account.at_us, book.account.outcome) == ([2, 1], [20, 10], [False, True])
    assert book.value() == 0.5
    assert book.value(1) == 1.0
    assert book.take_losses("r1", DUE_US) == [0.0, 1.0]  # in the order of the events
    assert (book.predictions, book.outcomes) == (2, 2)


def test_an_outcome_of_what_was_never_predicted_only_counts():
    book = ledger()
    book.known(7, True)
    book.settle()
    assert (book.outcomes, len(book.account)) == (1, 0)


def test_a_correction_changes_the_account_and_not_the_losses_decisions_were_made_on():
    book = ledger()
    book.predicted(1, 10, said("r1", True))
    book.known(1, False)
    book.settle()
    book.known(1, True)
    book.settle()
    assert (book.account.outcome, book.value()) == ([True], 1.0)
    assert book.take_losses("r1", DUE_US) == [1.0]
    assert len(book.account) == 1


def test_an_outcome_corrected_before_it_was_settled_settles_once_as_corrected():
    book = ledger()
    book.predicted(1, 10, said("r1", True))
    book.predicted(1, 10, said("r2", False), challenger=True)
    book.known(1, False)
    book.known(1, True)
    book.settle()
    assert book.account.outcome == [True]
    assert book.take_pairs("r1", "r2", DUE_US) == [(0.0, 1.0)]


def test_pairs_are_what_both_have_scored_in_the_order_of_settling():
    book = ledger()
    for seq in (1, 2, 3):
        book.predicted(seq, seq, said("r1", True))
    for seq in (3, 1):
        book.predicted(seq, seq, said("r2", False), challenger=True)
    for seq, outcome in ((3, True), (2, True), (1, False)):
        book.known(seq, outcome)
    book.settle()
    assert book.take_pairs("r1", "r2", DUE_US) == [(0.0, 1.0), (1.0, 0.0)]
    assert book.take_pairs("r1", "r2", DUE_US) == []


def test_what_is_known_before_it_is_due_waits_for_the_rest():
    """Frauds are told at once, and what is none a month later: by frauds alone a release that cries wolf would win."""
    book = ledger()
    for seq in (1, 2, 3):
        book.predicted(seq, 10 * seq, said("r1", False))
        book.predicted(seq, 10 * seq, said("r2", True), challenger=True)
    book.known(3, True)
    book.settle()
    assert book.take_pairs("r1", "r2", 15) == []
    book.known(2, False)
    book.known(1, False)
    book.settle()
    assert book.take_pairs("r1", "r2", 15) == [(0.0, 1.0)]
    assert book.take_pairs("r1", "r2", 30, 25) == [(1.0, 0.0)]
    assert book.take_pairs("r1", "r2", 30) == []


def frauds_told_at_once(book, confidence=0.9, frauds_in=5):
    """A hundred events a unit apart, of which one in so many is a fraud that the release misses; told at once, the rest after
    fifty units. It is unit 100."""
    for seq in range(1, 101):
        fraud = seq % frauds_in == 0
        book.predicted(seq, seq, said("r1", False, 1 - confidence))
        if fraud or seq <= 50:
            book.known(seq, fraud)
    book.settle()


def test_losses_are_taken_when_they_are_due_so_that_frauds_told_at_once_do_not_look_like_decay():
    book = ledger()
    frauds_told_at_once(book)
    assert book.take_losses("r1", 30) == 6 * [0.0, 0.0, 0.0, 0.0, 1.0]  # of sixty that are known a third are frauds
    assert book.take_losses("r1", 50, 41) == 2 * [0.0, 0.0, 0.0, 0.0, 1.0]
    assert book.take_losses("r1", 50) == []
    book.known(51, False)  # comes late, and is taken when it comes
    book.settle()
    assert book.take_losses("r1", 55) == [0.0, 1.0]
    book.known(52, False)
    book.settle()
    assert book.take_losses("r1", 55) == [0.0]


def test_what_waits_is_what_is_not_due_known_or_not_and_what_is_overdue():
    book = ledger()
    frauds_told_at_once(book)
    assert len(book.waiting("r1", 1_000, 50)) == 50
    assert len(book.waiting("r1", 10, 50)) == 10
    assert len(book.waiting("r1", 1_000, 100)) == 40  # overdue
    assert book.waiting("r2", 1_000, 50) == []


def test_of_very_many_answers_the_newest_due_are_kept_in_the_order_of_their_events():
    book = ledger()
    for seq in range(2 * RECENT + 11, 0, -1):
        book.predicted(seq, seq, said("r1", True))
        book.known(seq, True)
    book.settle()
    due_us = 2 * RECENT + 1
    assert [book.account.at_us[place] for place in book.recent_places("r1", 3, due_us)] == [
        due_us - 2,
        due_us - 1,
        due_us,
    ]
    assert len(book.recent_places("r1", RECENT, due_us)) == len(book.recent_places("r1", 2 * RECENT, due_us)) == RECENT
    assert (
        book.account.at_us[book.recent_places("r1", 1, due_us + 9)[0]] == due_us + 9
    )  # what was not due yet has stayed


def test_pairs_of_other_releases_are_not_these():
    book = ledger()
    book.predicted(1, 1, said("r0", True))
    book.predicted(2, 2, said("r1", True))
    for seq in (1, 2):
        book.predicted(seq, seq, said("r2", True), challenger=True)
        book.known(seq, True)
    book.settle()
    assert book.take_pairs("r1", "r2", DUE_US) == [(0.0, 0.0)]


def test_when_a_rollout_ends_nothing_of_its_challenger_is_kept():
    book = ledger()
    for seq in (1, 2):
        book.predicted(seq, seq, said("r1", True))
        book.predicted(seq, seq, said("r2", True), challenger=True)
    book.known(1, True)
    book.settle()
    book.forget_challenger()
    book.known(2, True)
    book.settle()
    assert book.take_pairs("r1", "r2", DUE_US) == []


def test_losses_are_kept_by_release():
    book = ledger()
    for seq, release in enumerate(["r1", "r2", "r1"]):
        book.predicted(seq, seq, said(release, seq == 0))
        book.known(seq, True)
    book.settle()
    assert book.take_losses("r1", DUE_US) == [0.0, 1.0]
    assert book.take_losses("r2", DUE_US) == [1.0]
    assert book.take_losses("r9", DUE_US) == []


def test_fed_in_other_batches_it_comes_to_the_same():
    random = np.random.default_rng(2)
    steps = []
    for seq in range(60):
        steps.append(("predicted", seq, bool(random.random() < 0.5)))
        if seq % 3:
            steps.append(("shadow", seq, bool(random.random() < 0.5)))
        if seq > 4:
            steps.append(("known", seq - 5, bool(random.random() < 0.5)))
    books = []
    for batch in (1, 7, 1000):
        book = ledger()
        for number, (kind, seq, value) in enumerate(steps):
            if kind == "known":
                book.known(seq, value)
            else:
                book.predicted(seq, seq, said("r2" if kind == "shadow" else "r1", value), challenger=kind == "shadow")
            if number % batch == 0:
                book.settle()
        book.settle()
        books.append(
            (
                book.account,
                book.take_pairs("r1", "r2", DUE_US),
                book.take_losses("r1", DUE_US),
                book.value(),
            )
        )
    assert books[0] == books[1] == books[2]
    assert len(books[0][1]) > 30


def test_releases_may_know_different_classes():
    book = Ledger("log_loss", ("a", "b", "c"))
    book.predicted(1, 1, Scored("r1", "a", (0.75, 0.25), ("a", "b")))
    book.predicted(2, 2, Scored("r2", "c", (0.25, 0.25, 0.5), ("a", "b", "c")))
    book.predicted(3, 3, Scored("r1", "b", (0.25, 0.75), ("a", "b")))
    for seq, outcome in ((1, "a"), (2, "c"), (3, "c")):
        book.known(seq, outcome)
    book.settle()
    assert book.take_losses("r1", DUE_US) == [0.25, 1.0]  # a class it has not learnt has probability 0
    assert book.take_losses("r2", DUE_US) == [0.5]
    both = as_predictions(book.account.scored, book.classes)
    assert both.classes == ("a", "b", "c")
    assert both.probabilities.tolist() == [[0.75, 0.25, 0.0], [0.25, 0.25, 0.5], [0.25, 0.75, 0.0]]
    assert both.value.tolist() == ["a", "c", "b"]


def test_amounts_lose_their_absolute_error():
    book = Ledger("mae", ())
    book.predicted(1, 1, Scored("r1", 3.0, None))
    book.predicted(1, 1, Scored("r2", 4.5, None), challenger=True)
    book.known(1, 5)
    book.settle()
    assert book.take_pairs("r1", "r2", DUE_US) == [(2.0, 0.5)]
    assert book.value() == 2.0


@pytest.mark.parametrize(("metric", "loss"), [("accuracy", 0.0), ("roc_auc", 0.0625), ("log_loss", 0.25)])
def test_the_row_loss_is_the_metrics(metric, loss):
    book = Ledger(metric, (False, True))
    book.predicted(1, 1, said("r1", True, 0.75))
    book.known(1, True)
    book.settle()
    assert book.take_losses("r1", DUE_US) == [loss]
