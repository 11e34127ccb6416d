"""A compiled program is plain arrays that numpy opens; what it cannot answer is missing, not wrong."""

import io
import json
import zipfile

import numpy as np
import pytest

from modelwright.core.errors import ReleaseError
from modelwright.optimize.graph.builder import Graph
from modelwright.release.compiled.program import OPERATIONS, Program
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.inputs import Coded, InputColumn, Rows


def program(*steps, constants=(), features=(0,), numbers=1, texts=0, **model):
    """A linear program that adds its features up."""
    registers = numbers + texts + 8
    rows = [(OPERATIONS.index(name), *rest) for name, *rest in steps]
    return Program(
        registers=registers, numbers=numbers, texts=texts, targets=1, link="identity",
        steps=np.array(rows, np.int64).reshape(-1, 5), constants=np.array(constants, np.float64),
        features=np.array(features, np.int64), coefficients=np.ones((1, len(features))), start=np.zeros(1), **model,
    )  # fmt: skip


def answers(made, numbers, texts=(), vocabulary=()):
    columns = tuple(InputColumn(name=str(i), kind="text", vocabulary=vocabulary) for i in range(len(texts)))
    return CompiledRuntime(made.to_bytes(), columns).run(Rows(np.array(numbers, np.float64), texts)).tolist()


def test_texts_are_read_by_their_codes_alike():
    listed = ["b", None, "a", "z"]
    coded = Coded(np.array([2, 3, 1, 0]), ["z", "a", "b", None])
    made = program(("is_missing", 2, 1, 0, 0), features=(1, 2), texts=1)
    made_of_missing = program(("is_missing", 2, 1, 0, 0), features=(2,), texts=1)
    for texts in (listed, coded):
        assert answers(made_of_missing, [[0.0]] * 4, (texts,), ("a", "b")) == [0.0, 1.0, 0.0, 1.0]
        assert answers(made, [[0.0]] * 4, (texts,), ("a", "b"))[::2] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("step", "constants", "wanted"),
    [
        (("copy", 1, 0, 0, 0), [], [-1.0, 0.0, 2.5]),
        (("constant", 1, 0, 0, 1), [7.0], [7.0, 7.0, 7.0]),
        (("add", 1, 0, 0, 1), [1.0], [0.0, 1.0, 3.5]),
        (("subtract", 1, 0, 0, 1), [1.0], [-2.0, -1.0, 1.5]),
        (("multiply", 1, 0, 0, 1), [2.0], [-2.0, 0.0, 5.0]),
        (("divide", 1, 0, 0, 1), [2.0], [-0.5, 0.0, 1.25]),
        (("clip", 1, 0, 0, 2), [0.0, 1.0], [0.0, 0.0, 1.0]),
        (("place", 1, 0, 0, 2), [2.5, 0.0], [2.0, 1.0, 0.0]),
        (("bin", 1, 0, 0, 2), [0.0, 2.0], [0.0, 1.0, 2.0]),
        (("square", 1, 0, 0, 0), [], [1.0, 0.0, 6.25]),
        (("absolute", 1, 0, 0, 0), [], [1.0, 0.0, 2.5]),
    ],
)
def test_what_each_step_makes(step, constants, wanted):
    made = program(step, constants=constants, features=(1,))
    assert answers(made, [[-1.0], [0.0], [2.5]]) == wanted


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "sqrt"])
def test_functions_are_numpys(name):
    given = np.array([0.0, 0.25, 1.0, 12.5])
    made = program((name, 1, 0, 0, 0), features=(1,))
    with np.errstate(divide="ignore"):
        wanted = getattr(np, name)(given)
    np.testing.assert_array_max_ulp(np.array(answers(made, given.reshape(-1, 1))), wanted, maxulp=1)


def test_missing_is_filled_told_and_required():
    missing = [[np.nan], [3.0]]
    assert answers(program(("fill", 1, 0, 0, 1), constants=[9.0], features=(1,)), missing) == [9.0, 3.0]
    assert answers(program(("is_missing", 1, 0, 0, 0), features=(1,)), missing) == [1.0, 0.0]
    required = answers(program(("require", 0, 0, 0, 0), features=()), missing)
    assert np.isnan(required[0])
    assert required[1] == 0.0


def test_a_table_by_code_leaves_zeros_elsewhere():
    # Three codes: a text, another, the missing one. Width 2; entries (0, 5), (1, 6), and none.
    table = [2, 3, 0, 1, 2, 2, 0, 5, 1, 6]
    made = program(("spread", 2, 1, 0, len(table)), constants=table, features=(2, 3), texts=1)
    assert answers(made, [[0.0]] * 4, (["a", "b", None, "unseen"],), ("a", "b")) == [5.0, 6.0, 0.0, 0.0]


def test_equal_programs_are_equal_bytes_that_numpy_opens():
    made = program(("copy", 1, 0, 0, 0), features=(1,))
    assert made.to_bytes() == program(("copy", 1, 0, 0, 0), features=(1,)).to_bytes()
    with np.load(io.BytesIO(made.to_bytes()), allow_pickle=False) as arrays:
        assert arrays["features"].tolist() == [1]
    again = Program.from_bytes(made.to_bytes())
    assert again.to_bytes() == made.to_bytes()


def test_a_program_of_another_version_is_refused_in_words():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("program.json", json.dumps({"format": 99, "operations": []}))
    with pytest.raises(ReleaseError, match="another version of modelwright; train it again"):
        Program.from_bytes(data.getvalue())


def test_a_graph_takes_the_features_block_by_block_and_leaves_refused_rows_without_an_answer():
    graph = Graph("float64", 2)
    data = graph.bytes(graph.node("ReduceSum", graph.node("Abs", "numbers"), graph.integers([1]), keepdims=0))
    prepared = Program(
        registers=4, numbers=1, texts=0, targets=0, link="none", features=np.array([0, 1]),
        steps=np.array([(OPERATIONS.index(name), *rest) for name, *rest in
                        [("add", 1, 0, 0, 1), ("require", 0, 0, 0, 0)]], np.int64),
        constants=np.array([10.0]), graph=np.frombuffer(data, np.uint8),
    )  # fmt: skip
    numbers = np.arange(3_000, dtype=float).reshape(-1, 1)
    numbers[7] = np.nan
    said = CompiledRuntime(prepared.to_bytes(), ()).run(Rows(numbers))
    assert np.isnan(said[7])
    kept = np.arange(3_000) != 7
    assert (said[kept] == 2 * numbers[kept, 0] + 10).all()
    assert CompiledRuntime(prepared.to_bytes(), ()).run(Rows(numbers[:0])).shape == (0,)
