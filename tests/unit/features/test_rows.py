"""One key's rows: order, growth, repeats and corrections."""

import numpy as np

from modelwright.features.rows import NONE, Rows


def rows_of(*entries: tuple[int, int, int | None]) -> Rows:
    rows = Rows(1, 1)
    for time, seq, event in entries:
        rows.append(time, seq, event, np.array([float(seq)]), np.ones(1, np.uint8))
    return rows


def test_rows_stand_by_time_then_sequence() -> None:
    rows = rows_of((5, 1, None), (3, 2, None), (5, 4, None), (5, 3, None), (9, 5, None))
    assert rows.seq[: rows.n].tolist() == [2, 1, 3, 4, 5]
    assert rows.values[0, : rows.n].tolist() == [2.0, 1.0, 3.0, 4.0, 5.0]


def test_a_row_is_held_once() -> None:
    assert rows_of((5, 1, None), (6, 2, None), (5, 1, None), (6, 2, None)).n == 2


def test_it_grows() -> None:
    rows = rows_of(*[(1000 - i, i, None) for i in range(300)])
    assert rows.seq[: rows.n].tolist() == list(reversed(range(300)))


def test_corrections_are_linked_and_stay_linked_as_rows_come() -> None:
    rows = rows_of((1, 1, 10), (2, 2, 11))
    assert len(rows.following) == 0
    rows.append(4, 3, 10, np.zeros(1), np.ones(1, np.uint8))
    assert rows.following[:3].tolist() == [2, NONE, NONE]
    rows.append(3, 4, 12, np.zeros(1), np.ones(1, np.uint8))
    assert rows.following[:4].tolist() == [3, NONE, NONE, NONE]


def test_filled_at_once_equals_appended() -> None:
    rows = rows_of((5, 1, 10), (3, 2, 11), (5, 4, 10))
    filled = Rows(1, 1)
    order = np.array([2, 0, 1])
    filled.fill(
        np.array([5, 3, 5])[order], np.array([1, 2, 4])[order], np.array([10, 11, 10])[order],
        np.array([[1.0], [2.0], [4.0]])[order], np.ones((1, 3), np.uint8),
    )  # fmt: skip
    for name in ("times", "seq", "event"):
        assert getattr(filled, name)[:3].tolist() == getattr(rows, name)[:3].tolist()
    assert filled.following[:3].tolist() == rows.following[:3].tolist()
