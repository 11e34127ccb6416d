"""Training rows are as of their own moment, labels as of the moment of the training."""

import numpy as np
import pyarrow as pa
import pytest

from modelwright.core.errors import TrainingError
from modelwright.training.examples import NEVER, SMALLEST, beginning, input_blocks, split_by_time, vocabulary

DAY = 86_400_000_000
T0 = 1_700_000_000_000_000


def test_rows_are_in_order_of_time_whatever_the_order_of_the_log(ledger):
    book = ledger()
    for days in (5, 1, 3, 3):
        book.event(T0 + days * DAY, amount=float(days))
    examples = book.examples()
    assert examples.seq.tolist() == [2, 3, 4, 1]
    assert examples.rows.numbers[:, 0].tolist() == [1.0, 3.0, 3.0, 5.0]
    assert examples.names == ("amount", "country", "n", "spent", "frauds", "last_country", "jump")
    assert examples.is_text == (False, True, False, False, False, True, False)


def test_a_row_sees_only_what_was_before_it(ledger):
    book = ledger()
    for days, amount, country in ((0, 1.0, "DE"), (1, 2.0, "FR"), (1, 4.0, "IT"), (2, 8.0, None)):
        book.event(T0 + days * DAY, amount=amount, country=country)
    book.outcome(1, True)
    rows = book.examples().rows
    by_name = dict(zip(("amount", "n", "spent", "frauds", "jump"), rows.numbers.T.tolist(), strict=True))
    assert by_name["n"] == [0, 1, 1, 3]
    assert by_name["spent"] == [0, 1, 1, 7]
    assert by_name["frauds"] == [0, 0, 0, 1]  # known at the very moment of the last event
    assert list(rows.texts[1]) == [None, "DE", "DE", "IT"]


def test_texts_are_the_same_however_the_column_is_cut_and_encoded():
    listed = ["a", None, "b", "a", "c"]
    whole = pa.array(listed)
    for column in (
        whole, whole.dictionary_encode(), pa.chunked_array([whole[:2], whole[2:2], whole[2:]]),
        pa.chunked_array([whole[:3].dictionary_encode(), whole[3:].dictionary_encode()]),
    ):  # fmt: skip
        rows, is_text = input_blocks(pa.table({"t": column}), None, ["t"])
        assert (list(rows.texts[0]), len(rows), is_text) == (listed, 5, (True,))
    assert list(input_blocks(pa.table({"t": pa.chunked_array([], pa.string())}), None, ["t"])[0].texts[0]) == []


def test_labels_count_from_when_they_are_known(ledger):
    book = ledger()
    first, second = book.event(T0), book.event(T0 + DAY)
    book.outcome(second, True)
    book.outcome(first, False)
    examples = book.examples()
    assert examples.known_at(T0 + 2 * DAY - 1).positions.tolist() == []
    assert examples.known_at(T0 + 2 * DAY).positions.tolist() == [0]
    known = examples.known_at(T0 + 3 * DAY)
    assert (known.positions.tolist(), known.outcomes.tolist()) == ([0, 1], [False, True])
    assert examples.first_known_us.tolist() == [T0 + 2 * DAY, T0 + 3 * DAY]


def test_a_correction_counts_from_when_it_is_known(ledger):
    book = ledger()
    seq = book.event(T0)
    book.outcome(seq, True, T0 + 5 * DAY)
    book.outcome(seq, False, T0 + DAY)
    examples = book.examples()
    assert examples.known_at(T0 + DAY).outcomes.tolist() == [False]
    assert examples.known_at(T0 + 5 * DAY).outcomes.tolist() == [True]
    assert examples.first_known_us.tolist() == [T0 + DAY]
    assert len(examples.known_at(T0 + 5 * DAY).positions) == 1


def test_an_event_without_an_outcome_is_never_known(ledger):
    book = ledger()
    book.event(T0)
    seq = book.event(T0 + 1)
    book.outcome(seq, True)
    examples = book.examples()
    assert examples.first_known_us.tolist() == [NEVER, T0 + 1 + 2 * DAY]
    assert examples.known_at(NEVER).positions.tolist() == [1]


def test_an_event_is_no_training_row_before_it_happened(ledger):
    book = ledger()
    seq = book.event(T0 + 10 * DAY)
    book.outcome(seq, True, T0)  # an outcome that was told too early
    assert book.examples().known_at(T0 + 10 * DAY).positions.tolist() == []
    assert book.examples().known_at(T0 + 10 * DAY + 1).positions.tolist() == [0]


@pytest.mark.parametrize(("kind", "values"), [("float", [1.5, -2.0]), ("int", [3, 4]), ("str", ["b", "a"])])
def test_outcomes_have_the_labels_kind(ledger, kind, values):
    book = ledger(kind)
    for value in values:
        book.outcome(book.event(T0), value)
    known = book.examples().known_at(NEVER).outcomes
    assert known.tolist() == values
    assert known.dtype == (object if kind == "str" else np.float64)


def test_the_data_version_is_of_the_rows_it_names(history):
    examples = history.examples()
    rows = np.arange(100)
    version = examples.version_of(rows)
    assert version.startswith("sha256:")
    history.events[150]["amount"] = 99.0
    assert history.examples().version_of(rows) == version
    assert history.examples().version_of(np.arange(151)) != examples.version_of(np.arange(151))
    for column, value in (("amount", 99.0), ("country", "IT"), ("at", T0 + 51 * DAY // 4)):
        before = history.events[50][column]
        history.events[50][column] = value
        assert history.examples().version_of(rows) != version
        history.events[50][column] = before


def test_the_tail_is_a_tenth_where_that_is_shorter(history):
    split = split_by_time(history.examples(), NEVER, 100 * DAY)
    assert len(split.held_back) == 20
    assert split.at_us == T0 + 180 * DAY // 4


def test_the_tail_is_never_too_short_to_judge_by(history):
    assert len(split_by_time(history.examples(), NEVER, 1 * DAY).held_back) == SMALLEST


def test_validation_shortens_the_tail(ledger):
    book = ledger(delay_us=1)
    for i in range(1_000):
        book.outcome(book.event(T0 + i * DAY // 24), i % 2 == 0)
    split = split_by_time(book.examples(), NEVER, 2 * DAY)
    assert len(split.held_back) == 49  # hourly rows, both ends of two days
    assert len(split_by_time(book.examples(), NEVER, 90 * DAY).held_back) == 100


def test_labels_that_were_unknown_at_the_split_are_left_out(history):
    examples = history.examples()
    split = split_by_time(examples, NEVER, 7 * DAY)
    assert (examples.at_us[split.train] < split.at_us).all()
    assert (examples.at_us[split.held_back] >= split.at_us).all()
    assert (examples.first_known_us[split.train] <= split.at_us).all()
    left_out = set(range(200)) - set(split.train.tolist()) - set(split.held_back.tolist())
    assert left_out == {row for row in range(200) if split.at_us - 2 * DAY < examples.at_us[row] < split.at_us}
    assert len(left_out) == 7


def test_outcomes_go_with_their_rows(history):
    examples = history.examples()
    split = split_by_time(examples, NEVER, 7 * DAY)
    truth = {row["_event_seq"]: row["fraud"] for row in history.outcomes}
    for positions, outcomes in ((split.train, split.train_outcomes), (split.held_back, split.held_back_outcomes)):
        assert outcomes.tolist() == [truth[seq] for seq in examples.seq[positions]]


def test_too_few_rows_are_no_ground_for_a_model(history):
    del history.outcomes[2 * SMALLEST - 1 :]
    with pytest.raises(TrainingError, match="only 39 rows with a known outcome; at least 40 are needed"):
        split_by_time(history.examples(), NEVER, 7 * DAY)


def test_where_no_outcome_is_known_it_says_where_they_come_from(history):
    del history.outcomes[:]
    with pytest.raises(
        TrainingError, match=r"only 0 rows .* read from the label's column, by its name, or come by POST"
    ):
        split_by_time(history.examples(), NEVER, 7 * DAY)


def test_labels_that_take_too_long_leave_nothing_to_fit_on(ledger):
    book = ledger(delay_us=40 * DAY)
    for i in range(100):
        book.outcome(book.event(T0 + i * DAY // 4), i % 2 == 0)
    with pytest.raises(
        TrainingError, match="0 rows to fit and 20 to judge; at least 20 of each are needed: bring more"
    ):
        split_by_time(book.examples(), NEVER, 7 * DAY)


def test_a_training_depends_on_nothing_that_happened_after_it(history):
    now_us = T0 + 30 * DAY
    before = history.examples()
    split = split_by_time(before, now_us, 7 * DAY)
    for row in history.events:
        if row["at"] >= now_us:
            row["amount"], row["country"], row["card"] = -1e6, "XX", "c0"
    for row in history.outcomes:
        if row["_known_at"] > now_us:
            row["fraud"] = not row["fraud"]
    after = history.examples()
    again = split_by_time(after, now_us, 7 * DAY)
    for one, other in ((split.train, again.train), (split.held_back, again.held_back)):
        assert np.array_equal(one, other)
        assert before.version_of(one) == after.version_of(other)
    assert np.array_equal(split.train_outcomes, again.train_outcomes)
    assert np.array_equal(split.held_back_outcomes, again.held_back_outcomes)


def test_a_vocabulary_is_the_different_texts_in_order():
    assert vocabulary(["b", None, "a", "b", ""]) == ("", "a", "b")


class TestBeginning:
    """Where a rehearsal begins: a fifth in, or where outcomes come so late that there is nothing to train on by then."""

    at_us = np.arange(1_000) * DAY

    def begins(self, delay_days, share=None, outcomes=1_000):
        known = np.where(np.arange(1_000) < outcomes, self.at_us + delay_days * DAY, NEVER)
        return beginning(self.at_us, known, 7 * DAY, share)

    def test_a_fifth_where_that_is_enough(self):
        assert self.begins(1) == 200
        assert self.begins(1, share=0.5) == 500

    def test_later_where_outcomes_come_late(self):
        start = self.begins(150, outcomes=500)
        known = np.arange(1_000)[:start] + 150 <= start
        # A fifth of the rows that ever get an outcome are fitted on: their outcome was known where the tail begins.
        assert known.sum() > 200
        assert self.begins(150, outcomes=1_000) > start

    def test_what_is_asked_for_is_done(self):
        assert self.begins(150, share=0.2) == 200

    def test_a_history_that_is_merely_short_stays_so(self):
        at_us = self.at_us[:100]
        assert beginning(at_us, at_us + 1, 7 * DAY, None) == 20

    def test_where_nothing_can_ever_be_trained_it_stays(self):
        assert self.begins(990) == 200
