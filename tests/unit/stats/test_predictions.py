import numpy as np

from modelwright.stats.predictions import Predictions


def test_the_most_probable_class_and_of_equals_the_first():
    said = Predictions.of_classes(np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]]), ("a", "b", "c"))
    assert said.value.tolist() == ["b", "a", "c"]
    assert said.score is None


def test_only_true_and_false_have_a_score():
    said = Predictions.of_classes(np.array([[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]]), (False, True))
    assert (said.value.dtype, said.value.tolist()) == (np.dtype(bool), [True, False, False])
    assert said.score.tolist() == [0.8, 0.4, 0.5]
    assert Predictions(said.value, None, (False, True)).score is None
    assert Predictions.of_classes(said.probabilities, ("no", "yes")).score is None


def test_some_rows_of_everything():
    said = Predictions.of_classes(np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]]), (False, True))
    for rows in (slice(1, None), np.array([False, True, True]), np.array([1, 2])):
        some = said.take(rows)
        assert (some.value.tolist(), some.score.tolist(), some.classes) == ([False, False], [0.4, 0.1], (False, True))
    assert Predictions(np.array([1.0, 2.0])).take(slice(1)).probabilities is None
