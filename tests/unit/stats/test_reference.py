"""What a column looked like, and how far it has moved since."""

import math

import msgspec
import numpy as np
import pytest

from modelwright.stats.reference import (
    PSI_LARGE,
    QUANTILES,
    TEXTS,
    ColumnReference,
    plain,
    psi,
    reference_of_numbers,
    reference_of_texts,
)

NAN = math.nan


def test_numbers_are_cut_at_their_deciles_and_in_the_tails():
    reference = reference_of_numbers("x", np.arange(1000.0))
    assert len(reference.edges) == len(QUANTILES)
    assert reference.counts == (10, 40, 50, *[100] * 8, 50, 40, 10, 0)


def test_repeated_numbers_have_fewer_bins():
    reference = reference_of_numbers("x", np.array([0.0] * 90 + [1.0] * 10))
    assert reference.counts == (0, 90, 0, 10, 0, 0)  # each of the two has a bin of its own


def test_a_constant_column_sees_any_other_value():
    reference = reference_of_numbers("x", np.array([5.0] * 100))
    assert reference.distance(reference.count(np.array([5.0] * 100))) == 0.0
    for other in (math.nextafter(5.0, 6), 6.0, math.nextafter(5.0, 4), -5.0, -math.inf):
        assert reference.distance(reference.count(np.array([other] * 100))) > PSI_LARGE


@pytest.mark.parametrize("usual", [0.0, 1.0])
def test_a_flag_that_turns_is_seen(usual):
    flags = np.array([usual] * 95 + [1 - usual] * 5)
    reference = reference_of_numbers("x", flags)
    assert reference.distance(reference.count(flags)) == 0.0
    assert reference.distance(reference.count(1 - flags)) > PSI_LARGE


def test_missing_is_a_bin_of_its_own():
    reference = reference_of_numbers("x", np.array([1.0, 2.0, NAN, NAN, NAN]))
    assert reference.counts[-1] == 3
    assert reference.count(np.array([NAN, 1.0]))[-1] == 1
    assert reference_of_texts("x", ["a", None]).counts == (1, 0, 1)


def test_a_column_of_nothing_but_missing():
    reference = reference_of_numbers("x", np.array([NAN, NAN]))
    assert (reference.edges, reference.counts) == ((), (0, 2))
    assert reference.distance(reference.count(np.array([1.0, 2.0]))) > PSI_LARGE
    assert reference_of_numbers("x", np.zeros(0)).counts == (0, 0)


def test_an_edge_belongs_to_the_bin_below_and_every_value_to_one():
    reference = ColumnReference(name="x", edges=(1.0, 2.0), counts=(0, 0, 0, 0))
    values = [-math.inf, 1.0, 1.5, 2.0, math.nextafter(2.0, 3), math.inf, NAN]
    assert reference.count(np.array(values)).tolist() == [2, 2, 2, 1]


def test_texts_are_the_most_frequent_and_the_rest():
    texts = [f"t{i:02}" for i in range(TEXTS + 5) for _ in range(i + 1)]
    reference = reference_of_texts("x", texts)
    assert reference.texts[:2] == (f"t{TEXTS + 4}", f"t{TEXTS + 3}")
    assert len(reference.texts) == TEXTS
    assert reference.counts[-2] == 1 + 2 + 3 + 4 + 5
    assert reference.count(["never seen", "t34", None]).tolist()[-2:] == [1, 1]


def test_texts_as_frequent_stand_in_alphabetical_order():
    assert reference_of_texts("x", ["b", "a", "c", "c"]).texts == ("c", "a", "b")
    assert reference_of_texts("x", ["b", "c", "a", "c"]) == reference_of_texts("x", ["a", "c", "c", "b"])


def test_a_reference_survives_json():
    for reference in (reference_of_numbers("x", np.array([1.5, NAN, 2.0])), reference_of_texts("x", ["a", None])):
        assert msgspec.json.decode(msgspec.json.encode(reference), type=ColumnReference) == reference


def test_the_index_is_what_its_formula_gives():
    # Half a row added to each of two bins: 50.5/101 and 25.5/101 of the reference against 10.5/41 and 30.5/41.
    was, now = np.array([50.5, 50.5]) / 101, np.array([10.5, 30.5]) / 41
    assert psi(np.array([50, 50, 0]), np.array([10, 30, 0])) == pytest.approx(
        float(np.sum((now - was) * np.log(now / was)))
    )


def test_the_index_tells_a_shift_from_chance():
    random = np.random.default_rng(0)
    reference = reference_of_numbers("x", random.normal(0, 1, 5000))
    assert reference.distance(reference.count(random.normal(0, 1, 5000))) < 0.02
    assert reference.distance(reference.count(random.normal(1, 1, 5000))) > PSI_LARGE
    assert reference.distance(reference.count(np.full(5000, NAN))) > PSI_LARGE


def test_nothing_is_no_distance_from_anything():
    assert psi(np.array([0, 0]), np.array([5, 5])) == psi(np.array([5, 5]), np.array([0, 0])) == 0.0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.float64(1.5), 1.5),
        (np.float64(NAN), None),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (math.inf, None),
        (-math.inf, None),
        (NAN, None),
        ("a", "a"),
        (None, None),
    ],
)
def test_plain_is_what_json_can_hold(value, said):
    assert plain(value) == said
    assert type(plain(value)) is type(said)
