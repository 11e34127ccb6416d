"""The image of the kernels: it says what numba's kernels say to the bit, and is used where it fits and nowhere else."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kernels import same_bits

from modelwright.core import machine_code as using
from modelwright.core.errors import ReleaseError
from modelwright.core.machine_code import Header, encoded, fits_machine
from modelwright.optimize import image as making
from modelwright.optimize.image import history_image, machine_image
from modelwright.optimize.linking import NotFlat
from modelwright.registry.publish import publish
from modelwright.release.compiled import runtime as running
from modelwright.release.compiled.image import mapped
from modelwright.release.compiled.program import OPERATIONS, Link, Program
from modelwright.release.compiled.reader import NORMS, Reader
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.folder import IMAGE, open_release
from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import Manifest, References, encode_pretty
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec

pytestmark = pytest.mark.skipif(not fits_machine(), reason="images are made for Linux on x86-64")

VOCABULARY = ("DE", "FR", "IT")
WORDS = ("red", "green", "blue", "grey")
ODD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, 1e300, -1.0, 2.0)
FROM_NUMBER = (
    "copy", "fill", "is_missing", "add", "subtract", "multiply", "divide", "clip", "place", "bin", "require", "exp", "expm1",
    "log", "log1p", "sqrt", "square", "absolute",
)  # fmt: skip
CONSTANTS = {"fill": 1, "add": 1, "subtract": 1, "multiply": 1, "divide": 1, "clip": 2, "place": 3, "bin": 3}
TARGETS: dict[Link, tuple[int, int]] = {
    "identity": (1, 1), "logistic": (1, 1), "softmax": (2, 4), "exp": (1, 1), "none": (1, 3), "choice": (1, 3),
}  # fmt: skip
IN_SINGLE: tuple[Link, ...] = ("identity", "logistic", "softmax", "exp")
SETS = 8
"""Words of 32 bits in a set of categories."""


class Made:
    """A program drawn at random, in which every operation, kind of node and reader can occur, and what it takes."""

    def __init__(self, random: np.random.Generator, link: Link, *, trees: bool) -> None:
        self.random, self.trees = random, trees
        self.numbers, self.texts = int(random.integers(0, 5)), int(random.integers(0, 3))
        readers = (self.reader(),) if random.random() < 0.5 else ()
        self.register = self.numbers + self.texts + sum(reader.given for reader in readers)
        self.codes = range(self.numbers, self.numbers + self.texts)
        self.constants: list[float] = []
        steps = [self.step() for _ in range(random.integers(1, 12))]
        self.features = random.choice(self.register, random.integers(1, 8))
        targets = int(random.integers(*TARGETS[link], endpoint=True))
        model = self.forest(targets) if trees else {"coefficients": random.normal(size=(targets, len(self.features)))}
        self.program = Program(
            registers=self.register, numbers=self.numbers, texts=self.texts, targets=targets, link=link,
            features=self.features.astype(np.int64), steps=np.array(steps, np.int64), constants=np.array(self.constants),
            start=random.normal(size=targets), single=bool(random.random() < 0.5),
            single_sums=link in IN_SINGLE and bool(random.random() < 0.5), divisor=float(random.choice([1.0, 3.0])),
            slope=float(random.choice([1.0, 0.7])), readers=readers, **model,
        )  # fmt: skip
        numbers = [InputColumn(name=f"n{place}", kind="number") for place in range(self.numbers)]
        texts = [InputColumn(name=f"t{place}", kind="text", vocabulary=VOCABULARY) for place in range(self.texts)]
        free = [InputColumn(name="free", kind="text")] if readers else []
        self.columns = (*numbers, *texts, *free)

    def step(self) -> tuple[int, ...]:
        random, first, target = self.random, len(self.constants), self.register
        if self.codes and random.random() < 0.3:
            width, codes = int(random.integers(1, 4)), len(VOCABULARY) + 1
            ends = np.cumsum([0, *random.integers(0, width + 1, codes)])
            entries = [(random.integers(0, width), random.normal()) for _ in range(ends[-1])]
            self.constants += [width, codes, *ends, *(number for entry in entries for number in entry)]
            self.register += width
            return (
                OPERATIONS.index("spread"),
                target,
                int(random.choice(self.codes)),
                first,
                len(self.constants) - first,
            )
        name = str(random.choice(FROM_NUMBER)) if self.register else "constant"
        count = 1 if name == "constant" else CONSTANTS.get(name, 0)
        self.constants += np.sort(random.choice([*random.normal(size=4), *ODD[3:]], count)).tolist()
        source = int(random.integers(0, max(1, self.register)))
        self.register += name != "require"
        return OPERATIONS.index(name), target if name != "require" else 0, source, first, count

    def forest(self, targets: int) -> dict[str, np.ndarray]:
        random = self.random
        nodes: list[list[float]] = []
        leaves = 0

        def grown(depth: int) -> int:
            nonlocal leaves
            if depth == 0 or random.random() < 0.2:
                leaves += 1
                return -leaves
            place, kind = len(nodes), int(random.integers(0, 32))
            threshold = (
                (2 * SETS + 1) * random.integers(0, 3) if kind & 8 else random.choice([*random.normal(size=4), 0.0])
            )
            nodes.append([random.integers(0, len(self.features)), threshold, 0, 0, kind])
            nodes[place][2:4] = grown(depth - 1), grown(depth - 1)
            return place

        roots = [grown(4) for _ in range(random.integers(1, 5))]
        feature, threshold, left, right, kind = np.array(nodes).reshape(-1, 5).T
        known = random.integers(0, 2**32, (3, SETS))
        sets = np.hstack([np.full((3, 1), SETS), known & random.integers(0, 2**32, (3, SETS)), known])
        return {
            "roots": np.array(roots), "of_target": random.integers(-1, targets, len(roots)),
            "node_feature": feature.astype(np.int32), "node_threshold": threshold, "node_left": left.astype(np.int32),
            "node_right": right.astype(np.int32), "node_kind": kind.astype(np.uint8),
            "leaves": random.normal(size=leaves * targets), "sets": sets.ravel().astype(np.uint32),
        }  # fmt: skip

    def reader(self) -> Reader:
        random, terms = self.random, len(WORDS) - 1
        return Reader(
            place=0, pattern=r"\w+", terms=WORDS[:terms], norm=NORMS[random.integers(0, 3)],
            sublinear=bool(random.random() < 0.5), weights=random.normal(size=terms if random.random() < 0.5 else 0),
            kept=random.permutation(terms)[: random.integers(0, terms + 1)],
            projection=random.normal(size=(terms, random.integers(0, 3))),
        )  # fmt: skip

    def rows(self, count: int) -> Rows:
        random = self.random
        numbers = np.where(
            random.random((count, self.numbers)) < 0.5,
            random.normal(size=(count, self.numbers)),
            random.choice(ODD, (count, self.numbers)),
        )
        texts: list[list[str | None]] = [
            random.choice([*VOCABULARY, "XX", None], count).tolist()  # type: ignore[list-item]
            for _ in range(self.texts)
        ]
        if self.program.readers:
            texts.append([" ".join(random.choice(WORDS, random.integers(0, 9))) for _ in range(count)])
        return Rows(numbers, tuple(texts))


seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(seeds, st.sampled_from(sorted(TARGETS)), st.booleans(), st.integers(0, 200))
def test_random_programs_answer_to_the_bit_as_by_numba(random, link, trees, count):
    made = Made(random, link, trees=trees)
    rows, data = made.rows(count), made.program.to_bytes()
    numba, image = CompiledRuntime(data, made.columns), CompiledRuntime(data, made.columns, machine_image())
    assert same_bits(image.features(rows), numba.features(rows))
    assert same_bits(image.run(rows), numba.run(rows))
    one = rows.take(slice(0, 1))
    assert same_bits(image.run(one), numba.run(rows)[:1])


def trees(seed=3):
    return Made(np.random.default_rng(seed), "softmax", trees=True)


def test_threads_have_tables_of_their_own():
    made = trees()
    runtime = CompiledRuntime(made.program.to_bytes(), made.columns, machine_image())
    asked = [made.rows(64) for _ in range(40)]
    wanted = [runtime.run(rows) for rows in asked]
    with ThreadPoolExecutor(4) as pool:
        for said in (pool.map(runtime.run, asked), pool.map(runtime.run, asked)):
            assert all(same_bits(one, other) for one, other in zip(said, wanted, strict=True))


def test_rows_of_another_width_are_refused_and_read_only_ones_answered():
    made = next(made for made in map(trees, range(20)) if made.numbers > 1)
    runtime = CompiledRuntime(made.program.to_bytes(), made.columns, machine_image())
    rows = made.rows(5)
    with pytest.raises(ValueError, match=f"rows of 1 numbers, where the program takes {made.numbers}"):
        runtime.run(Rows(rows.numbers[:, :1], rows.texts))
    wanted = runtime.run(rows)
    rows.numbers.flags.writeable = False
    assert same_bits(runtime.run(rows), wanted)
    assert same_bits(runtime.run(Rows(np.asfortranarray(rows.numbers), rows.texts)), wanted)


def test_it_is_never_written_to_where_it_is_executed():
    image = mapped(machine_image())
    begin = image.code.entry("lay_out")
    place = using.ctypes.cast(begin, using.ctypes.c_void_p).value
    pages = [line.split()[:2] for line in Path("/proc/self/maps").read_text().splitlines()]
    (rights,) = [rights for span, rights in pages if int(span.split("-")[0], 16) <= place < int(span.split("-")[1], 16)]
    assert rights == "r-xp"


def altered(change):
    line, _, code = machine_image().partition(b"\n")
    header = using.msgspec.json.decode(line, type=Header)
    return encoded(using.msgspec.structs.replace(header, **change), code)


UNFIT = {
    "none": lambda: None,
    "empty": lambda: b"",
    "cut short": lambda: machine_image()[:-1],
    "cut in its header": lambda: machine_image()[:100],
    "of other kernels": lambda: altered({"entries": {"run": 0}}),
    "of another version": lambda: altered({"sources": "0" * 64}),
    "calling what it may not": lambda: altered({"slots": {"system": 0}}),
    "no image": lambda: b"{}\n" + bytes(1_000),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_does_not_fit_is_not_used_and_numba_answers(what):
    data, made = UNFIT[what](), trees()
    assert mapped(data) is None
    rows = made.rows(100)
    said = CompiledRuntime(made.program.to_bytes(), made.columns, data).run(rows)
    assert same_bits(said, CompiledRuntime(made.program.to_bytes(), made.columns, machine_image()).run(rows))


def test_on_another_machine_it_is_neither_made_nor_used(monkeypatch):
    data = machine_image()
    monkeypatch.setattr(using.sys, "platform", "darwin")
    assert mapped(data) is None
    assert making.image.__wrapped__("machine") is None


def test_where_memory_may_not_become_code_numba_answers(monkeypatch):
    class Strict:
        def __init__(self, *_, **__):
            self.mprotect = lambda *_: -1

    data = machine_image()
    assert mapped(data) is not None
    monkeypatch.setattr(using, "_address_of", lambda name: 0)
    monkeypatch.setattr(using.ctypes, "CDLL", Strict)
    assert mapped(data) is None


@pytest.fixture
def released(tmp_path):
    """Publishes a compiled program with the image, and gives the folder."""

    def put(made, image):
        manifest = Manifest(
            system="s", kind="model", runtime="compiled", label=LabelSpec(name="y", kind="float", delay_us=1), metric="mae",
            inputs=made.columns,
        )  # fmt: skip
        contract = Contract(name="E", fields=(Field(name="at", kind="time", column="at"),), time="at")
        files = {
            "model.npz": made.program.to_bytes(), "contract.json": encode_pretty(contract), IMAGE: image,
            "reference.json": encode_pretty(References(())),
        }  # fmt: skip
        name, _ = publish(tmp_path, 1, manifest, files, {})
        return tmp_path / name

    return put


def test_a_release_runs_the_image_that_it_holds_and_no_other(released, monkeypatch):
    made = Made(np.random.default_rng(5), "identity", trees=True)
    folder, asked = released(made, machine_image()), []

    def noted(data):
        asked.append(data)
        return mapped(data)

    monkeypatch.setattr(running, "mapped", noted)
    assert len(open_release(folder)._runtime.run(made.rows(3))) == 3
    assert asked[0] == machine_image()
    asked.clear()
    data = bytearray((folder / IMAGE).read_bytes())
    data[-1] ^= 1
    (folder / IMAGE).write_bytes(data)
    with pytest.raises(ReleaseError, match=f"{IMAGE} is not the file that was published"):
        open_release(folder)
    assert asked == []


@pytest.mark.parametrize("name", ["machine", pytest.param("history", marks=pytest.mark.slow)])
def test_it_is_made_once_and_the_same_wherever_it_is_made(monkeypatch, tmp_path, name):
    wanted, again = making.image(name), making.image.__wrapped__
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert again(name) == wanted
    (kept,) = (tmp_path / "modelwright").iterdir()
    assert kept.read_bytes() == wanted
    kept.write_bytes(wanted[:-1])
    assert again(name) == wanted
    assert kept.read_bytes() == wanted
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was made again"))
    assert again(name) == wanted


@pytest.mark.parametrize("made", [machine_image, history_image])
def test_it_does_not_say_where_it_was_made(made):
    """Else it would be another one for each place, and tell of who made it."""
    said = made()
    assert said is not None
    assert b".py" not in said


def refuse(*_, **__):
    raise NotFlat("machine code with a relocation that has no flat form")


def test_a_training_goes_on_without_where_it_cannot_be_made_or_kept(monkeypatch, tmp_path):
    machine_image()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(making, "_compiled", refuse)
    assert making.image.__wrapped__("machine") is None
    assert list((tmp_path / "modelwright").iterdir()) == []
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(making, "_compiled", lambda *_: b"")
    assert making.image.__wrapped__("machine") is None


def test_what_is_kept_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """A file of the right length and of zeros, as a lost power may leave it, would be run."""
    named = []
    monkeypatch.setattr(making.os, "fsync", lambda handle: named.append((tmp_path / "machine.img").exists()))
    assert making._keep(tmp_path / "machine.img", b"code") == b"code"
    assert named == [False]
    assert [path.name for path in tmp_path.iterdir()] == ["machine.img"]
