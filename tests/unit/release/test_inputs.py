"""Rows keep their blocks in step; texts outside the vocabulary are missing; the DataFrame has the declared columns."""

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from modelwright.release.inputs import Coded, InputColumn, Rows, as_taken, data_frame, in_vocabulary

COLUMNS = (
    InputColumn(name="country", kind="text", vocabulary=("DE", "FR")),
    InputColumn(name="amount", kind="number"),
    InputColumn(name="shop", kind="text", vocabulary=()),
    InputColumn(name="count", kind="number"),
)
ROWS = Rows(np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0]]), (["FR", "IT", None], ["a", None, ""]))
CODED = Rows(
    ROWS.numbers, (Coded(np.array([1, 0, 2]), ["IT", "FR", None]), Coded(np.array([0, 1, 2]), ["a", None, ""]))
)

either = pytest.mark.parametrize("rows", [ROWS, CODED], ids=["listed", "coded"])


@either
def test_unseen_and_missing_texts_are_missing(rows):
    known = in_vocabulary(rows, COLUMNS)
    assert [list(column) for column in known.texts] == [["FR", None, None], [None, None, None]]
    assert known.numbers is ROWS.numbers


@either
def test_rows_are_taken_from_all_blocks_alike(rows):
    for chosen in (slice(1, 3), np.array([1, 2]), np.array([False, True, True])):
        taken = rows.take(chosen)
        assert len(taken) == 2
        assert np.array_equal(taken.numbers, ROWS.numbers[1:], equal_nan=True)
        assert [list(column) for column in taken.texts] == [["IT", None], [None, ""]]


@either
def test_the_data_frame_has_the_columns_in_order_with_fixed_categories(rows):
    frame = data_frame(in_vocabulary(rows, COLUMNS), COLUMNS)
    assert list(frame.columns) == ["country", "amount", "shop", "count"]
    assert frame["country"].cat.categories.tolist() == ["DE", "FR"]
    assert frame["country"].isna().tolist() == [False, True, True]
    assert frame["amount"].dtype == np.float64
    assert frame["count"].tolist() == [2.0, 3.0, 5.0]
    assert isinstance(frame["shop"].dtype, pd.CategoricalDtype)
    pd.testing.assert_frame_equal(frame, data_frame(in_vocabulary(ROWS, COLUMNS), COLUMNS))


def test_coded_texts_read_like_a_list():
    listed, coded = ROWS.texts[0], CODED.texts[0]
    assert (len(coded), list(coded), coded[1], list(coded[1:])) == (3, listed, "IT", listed[1:])
    assert coded.looked_up({"FR": 1.5, "DE": 2.5}, -1).tolist() == [1.5, -1, -1]


def test_rows_without_a_column_still_know_how_many_they_are():
    assert len(Rows(np.zeros((5, 0)))) == 5
    assert len(Rows(np.zeros((5, 0))).take(slice(0, 2))) == 2


def test_free_text_reaches_the_model_as_it_came_and_missing_as_the_empty_text():
    columns = (InputColumn(name="body", kind="text"), *COLUMNS[:2])
    written = ["Ça va?", None, "a\nb"]
    for body in (written, Coded(np.array([2, 1, 0]), ["a\nb", None, "Ça va?"])):
        rows = in_vocabulary(Rows(ROWS.numbers[:, :1], (body, ROWS.texts[0])), columns)
        assert [list(column) for column in rows.texts] == [written, ["FR", None, None]]
        frame = data_frame(rows, columns)
        assert frame["body"].dtype == object
        assert frame["body"].tolist() == ["Ça va?", "", "a\nb"]


def test_a_vectorizer_that_comes_first_is_given_the_only_column():
    frame = pd.DataFrame({"body": ["a b", "c"]})
    for first in (CountVectorizer(), make_pipeline(CountVectorizer(), MultinomialNB())):
        assert as_taken(frame, first).tolist() == ["a b", "c"]
    assert as_taken(frame, MultinomialNB()) is frame
