"""Rows keep their blocks in step; texts outside the vocabulary are missing; the DataFrame has the declared columns."""

import numpy as np
import pandas as pd

from modelwright.release.inputs import InputColumn, Rows, data_frame, in_vocabulary

COLUMNS = (
    InputColumn(name="country", kind="text", vocabulary=("DE", "FR")),
    InputColumn(name="amount", kind="number"),
    InputColumn(name="shop", kind="text", vocabulary=()),
    InputColumn(name="count", kind="number"),
)
ROWS = Rows(np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0]]), (["FR", "IT", None], ["a", None, ""]))


def test_unseen_and_missing_texts_are_missing():
    known = in_vocabulary(ROWS, COLUMNS)
    assert [list(column) for column in known.texts] == [["FR", None, None], [None, None, None]]
    assert known.numbers is ROWS.numbers


def test_rows_are_taken_from_all_blocks_alike():
    for chosen in (slice(1, 3), np.array([1, 2]), np.array([False, True, True])):
        taken = ROWS.take(chosen)
        assert len(taken) == 2
        assert np.array_equal(taken.numbers, ROWS.numbers[1:], equal_nan=True)
        assert [list(column) for column in taken.texts] == [["IT", None], [None, ""]]


def test_the_data_frame_has_the_columns_in_order_with_fixed_categories():
    frame = data_frame(in_vocabulary(ROWS, COLUMNS), COLUMNS)
    assert list(frame.columns) == ["country", "amount", "shop", "count"]
    assert frame["country"].cat.categories.tolist() == ["DE", "FR"]
    assert frame["country"].isna().tolist() == [False, True, True]
    assert frame["amount"].dtype == np.float64
    assert frame["count"].tolist() == [2.0, 3.0, 5.0]
    assert isinstance(frame["shop"].dtype, pd.CategoricalDtype)


def test_rows_without_a_column_still_know_how_many_they_are():
    assert len(Rows(np.zeros((5, 0)))) == 5
    assert len(Rows(np.zeros((5, 0))).take(slice(0, 2))) == 2
