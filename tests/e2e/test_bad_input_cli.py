"""What may be wrong with a command: one line that says what, where and what to do, the right exit code, no harm done."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwright.app.cli import main
from modelwright.core.clock import SystemClock
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.spec.contract import Contract

USAGE, FAILED, INTERRUPTED = 2, 1, 130


@pytest.fixture(scope="module")
def place(card_numbers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a trained system that the tests of this file may try to harm."""
    folder = tmp_path_factory.mktemp("bad") / "place"
    shutil.copytree(card_numbers.file.parent, folder)
    return folder


def state_of(home: Path, release: Path) -> dict[str, Any]:
    """What must not change: the pointer, what the log holds, which releases there are."""
    contract = msgspec.json.decode((release / "contract.json").read_bytes(), type=Contract)
    with Log.open(Workspace(home), LogSchema(contract, "is_fraud", "bool"), SystemClock(), readonly=True) as log:
        return {"pointer": log.journal.pointer(), "releases": sorted(os.listdir(home / "releases")), **log.counts()}


@pytest.fixture
def bad(
    place: Path, card_numbers: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Runs a command that must fail, and gives its one line; afterwards everything is as it was before.

    The command runs in this process, which has all libraries loaded: there are many of them.
    """
    before = state_of(place / "state", card_numbers.release)
    monkeypatch.chdir(place)

    def run(*arguments: Any, code: int, home: Path | None = None) -> str:
        monkeypatch.setenv("MODELWRIGHT_HOME", str(home or place / "state"))
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == code
        return one_line(*capsys.readouterr())

    yield run
    assert before["pointer"].champion is not None
    assert state_of(place / "state", card_numbers.release) == before


def one_line(out: str, err: str) -> str:
    """The message of a command that failed: all that it printed."""
    assert out == ""
    assert err.startswith("modelwright: ")
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    assert not err.startswith("modelwright: modelwright")
    return err.removeprefix("modelwright: ").rstrip("\n")


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


CALLS: dict[str, tuple[list[str], str]] = {
    "nothing": ([], r"COMMAND; see `modelwright --help`"),
    "an unknown command": (["teach"], r"'teach'.*choose from"),
    "an unknown option": (["train", "--fast"], r"--fast; see `modelwright --help`"),
    "a port that is no number": (["serve", "x", "--port", "http"], r"http is no port: give a number"),
    "a port that is too large": (["serve", "x", "--port", "65536"], r"65536 is no port: give a number"),
    "a port below zero": (["serve", "x", "--port", "-1"], r"port"),
    "a share of two": (["rehearse", "card_numbers.py", "--from", "2"], r"2 is no share: give a number between 0 and 1"),
    "a share in words": (["rehearse", "card_numbers.py", "--from", "half"], r"half is no share: give a number"),
    "seconds of nothing": (["run", "card_numbers.py", "--seconds", "5"], r"--seconds goes with --replay"),
    "no system": (["run"], r"system; see `modelwright run --help`"),
    "no files": (["predict", "card_numbers.py"], r"IN, OUT; see `modelwright predict --help`"),
    "no release": (["serve", "nothing"], r"nothing is no folder, nor a release in .*releases; give a release folder"),
    "no such file": (["train", "nothing.py"], r"nothing\.py does not exist; give the Python file"),
    "a directory": (["train", "."], r"\. is a directory; give the Python file"),
    "data for a system": (["train", "payments.csv"], r"payments\.csv, line 2"),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_wrong_call_says_what_is_right(bad: Callable[..., str], what: str) -> None:
    arguments, said = CALLS[what]
    assert re.search(said, bad(*arguments, code=USAGE))


SYSTEMS: dict[str, tuple[str | bytes, str]] = {
    "imports what is absent": (
        "import nosuch\n",
        r"line 1 does not import: ModuleNotFoundError: No module named 'nosuch'",
    ),
    "fails": ("x = 1\n\ny = x / 0\n", r"line 3 does not import: ZeroDivisionError"),
    "fails in two lines": ("raise Exception('one\\ntwo')\n", r"line 1 does not import: Exception: one two"),
    "ends the process": ("import sys\nsys.exit(0)\n", r"line 2 does not import: SystemExit"),
    "is no Python": ("x = (\n", r"line 1: '\(' was never closed"),
    "is no text": (b"\xff\xfe\x00", r"system"),
    "holds a null byte": (b"x = 1\x00", r"null bytes"),
    "is empty": ("", r"declares no System; end it with `system = mw\.System\(\.\.\.\)`"),
    "declares no System": ("import modelwright as mw\nsystem = 5\n", r"declares no System; end it with"),
}


# One loader serves all commands: two cases show that each command goes through it.
LOADED = [("train", what) for what in SYSTEMS]
LOADED += [
    (command, what) for command in ("status", "run", "rehearse", "parity") for what in ("fails", "declares no System")
]


@pytest.mark.parametrize(("command", "what"), LOADED)
def test_a_file_that_declares_nothing_names_its_line(
    bad: Callable[..., str], place: Path, command: str, what: str
) -> None:
    text, said = SYSTEMS[what]
    line = bad(command, write(place / "odd_system.py", text), code=USAGE)
    assert "odd_system" in line
    assert re.search(said, line)


def changed(place: Path, name: str, before: str, after: str) -> Path:
    """The system file with one thing changed in it."""
    text = (place / "card_numbers.py").read_text()
    assert before in text
    return write(place / f"{name}.py", text.replace(before, after))


DECLARATIONS = {
    "the label as an input": (
        "inputs=numbers",
        'inputs=[*numbers, "is_fraud"]',
        r"the label 'is_fraud' is also an input; take it",
    ),
    "the label as a field": (
        '"is_fraud", bool',
        '"amount", float',
        r"the label 'amount' is also an input: it is a field of Payment",
    ),
    "an unknown input": ("inputs=numbers", 'inputs=["amont"]', r"no column or feature 'amont'; did you mean 'amount'"),
    "an unknown setting": (
        "inputs=numbers",
        "input=numbers",
        r"System\(input=\): no such setting; did you mean 'inputs'",
    ),
    "a class for a model": (
        "LGBMClassifier(n_estimators=20, verbose=-1)",
        "LGBMClassifier",
        r"has no fit and predict; give an estimator object",
    ),
    "a duration in words": ('delay="1d"', 'delay="a day"', r"'a day'.* is not a duration: write a number and a unit"),
    "a source that is not there": ('"payments.csv"', '"nowhere/*.csv"', r"nowhere/\*\.csv.*nothing matches"),
}


@pytest.mark.parametrize("what", DECLARATIONS)
def test_a_declaration_that_cannot_be_is_refused(bad: Callable[..., str], place: Path, what: str) -> None:
    before, after, said = DECLARATIONS[what]
    file = changed(place, "odd_declaration", before, after)
    line = bad("train", file, code=FAILED if "source" in what else USAGE)
    assert re.search(said, line)


MODELS = {
    "fails in fit": ("raise ValueError('not\\n  today')", "pass", r"M\.fit failed on 407 rows: ValueError: not"),
    "leaves in fit": ("raise SystemExit(3)", "pass", r"M\.fit failed on 407 rows: SystemExit: 3"),
    "fails in predict": ("pass", "raise KeyError('amount')", r"M failed to predict .* rows: KeyError"),
    "predicts NaN": ("pass", "return np.full((len(X), 2), np.nan)", r"predicts NaN or infinity for 50 of 50 rows"),
    "predicts infinity": ("pass", "return np.full((len(X), 2), np.inf)", r"predicts NaN or infinity for 50 of 50 rows"),
    "predicts three classes of two": (
        "pass",
        "return np.ones((len(X), 3)) / 3",
        r"shape \(50, 3\); \(50, 2\) was expected",
    ),
    "predicts too few rows": ("pass", "return np.ones((3, 2)) / 2", r"shape \(3, 2\); \(50, 2\) was expected"),
    "predicts nothing": ("pass", "return None", r"shape \(\); \(50, 2\) was expected"),
    "predicts words": ("pass", "return np.full((len(X), 2), 'no')", r"could not convert string to float"),
    "predicts no probabilities": (
        "pass",
        "return np.full((len(X), 2), 7.0)",
        r"7 to 7 as probabilities; 0 to 1 was expected",
    ),
    "cannot be stored": (
        "import threading; self.lock = threading.Lock()",
        "return np.ones((len(X), 2)) / 2",
        r"cannot be stored",
    ),
}
CLASS = """
import numpy as np

class M:
    classes_ = [False, True]

    def fit(self, X, y):
        {fit}
        return self

    def predict(self, X):
        return X["amount"] > 3

    def predict_proba(self, X):
        {predict}

numbers = """


def with_model(place: Path, name: str, fit: str, predict: str) -> Path:
    file = changed(place, name, "numbers = ", CLASS.format(fit=fit, predict=predict))
    return write(file, file.read_text().replace("LGBMClassifier(n_estimators=20, verbose=-1)", "M()"))


@pytest.mark.parametrize("what", MODELS)
def test_a_model_that_fails_leaves_the_champion(bad: Callable[..., str], place: Path, what: str) -> None:
    fit, predict, said = MODELS[what]
    assert re.search(said, bad("train", with_model(place, "odd_model", fit, predict), code=FAILED))


HEADER = "payment_id,card,at,amount,items,merchant,country,is_fraud\n"
FILES: dict[str, tuple[str, str | bytes, str]] = {
    "is absent": ("absent.csv", "", r"absent\.csv does not exist; check the path"),
    "is empty": ("empty.csv", "", r"empty\.csv is empty; it needs at least a header"),
    "lacks a column": (
        "few.csv",
        HEADER.replace("amount,", "") + "x,c,2024-01-01,1,a,,\n",
        r"few\.csv has no column 'amount'; its columns are .*Payment\.amount with mw\.Meta\(column=\.\.\.\)",
    ),
    "is no CSV": ("bytes.csv", bytes(range(128, 256)) * 20, r"bytes\.csv is not readable as CSV in UTF-8"),
    "is no Parquet": ("text.parquet", "hello", r"text\.parquet is not readable as Parquet"),
    "is no gzip": ("text.csv.gz", "hello", r"text\.csv\.gz is not readable as CSV"),
    "is of no kind": ("text.docx", "hello", r"text\.docx: \.docx is not read; give \.csv"),
    "is a directory": ("folder.csv", "", r"folder\.csv is a directory; name its files"),
}


@pytest.mark.parametrize("command", ["ingest", "predict"])
@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cannot_be_read_says_why(bad: Callable[..., str], place: Path, what: str, command: str) -> None:
    name, text, said = FILES[what]
    file = place / name
    if what == "is a directory":
        file.mkdir(exist_ok=True)
    elif what != "is absent":
        write(file, text)
    out = [place / "out.csv"] if command == "predict" else []
    assert re.search(said, bad(command, "card_numbers.py", file, *out, code=FAILED))
    assert not (place / "out.csv").exists()


def test_a_file_without_permission_says_so(bad: Callable[..., str], place: Path) -> None:
    file = write(place / "secret.csv", HEADER)
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("the super-user may read everything")
    assert "no permission to read it" in bad("ingest", "card_numbers.py", file, code=FAILED)


@pytest.mark.parametrize("command", ["ingest", "train"])
def test_a_file_of_which_no_row_can_be_used_is_refused(
    place: Path, modelwright: Callable[..., Any], tmp_path: Path, command: str
) -> None:
    own = tmp_path / "own"
    shutil.copytree(place, own, ignore=shutil.ignore_patterns("state"))
    rows = ["b,c1,yesterday,1.5,1,m,,", "c,c1,2024-01-01T00:00:00Z,much,1,m,,"]
    write(own / "payments.csv", HEADER + "\n".join(rows) + "\n")
    done = modelwright(command, own / "card_numbers.py", "--json", home=tmp_path / "state")
    assert done.code == FAILED, done.out
    said = one_line(done.out, done.err)
    assert re.match(r"payments\.csv: all its 2 rows are in quarantine, one because of at: 'yesterday'", said), said
    assert said.endswith("; correct the file or the event's declaration, and bring it again")


def test_rows_of_wrong_types_are_quarantined_with_their_reasons(
    place: Path, modelwright: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [
        "a,c1,2024-01-01T00:00:00Z,1.5,1,m,,",
        "b,c1,yesterday,1.5,1,m,,",
        "c,c1,2024-01-01T00:00:00Z,much,1,m,,",
        "d,c1,2024-01-01T00:00:00Z,-1,1,m,,",
        "e,c1,2024-01-01T00:00:00Z,1.5,1.5,m,,",
        "f,c1,2024-01-01T00:00:00Z,1.5,99999999999999999999,m,,",
        "g,c1,2024-01-01T00:00:00Z,1.5,1,m,,maybe",
        "h,c1,2024-01-01T00:00:00Z,,1,m,,",
        "i,c1",
    ]
    file = write(tmp_path / "mixed.csv", HEADER + "\n".join(rows) + "\n")
    done = modelwright("ingest", place / "card_numbers.py", file, "--json", home=tmp_path / "state")
    assert done.code == 0, done.err
    assert (done.json["rows"], done.json["events"], done.json["quarantined"]) == (9, 1, 8)
    reasons = " | ".join(done.json["reasons"])
    for said in (
        "at: 'yesterday'",
        "amount: 'much'",
        "amount: -1.0 is not > 0",
        "items: '1.5'",
        "64 bits",
        "is_fraud: 'maybe'",
        "columns",
    ):
        assert said in reasons


def test_predicting_to_where_nothing_can_be_written(bad: Callable[..., str], place: Path) -> None:
    for out, said in (
        ("out.xlsx", r"as \.csv or \.parquet"),
        ("out", r"as \.csv or"),
        ("no/out.csv", r"folder does not exist"),
    ):
        assert re.search(said, bad("predict", "card_numbers.py", "payments.csv", out, code=USAGE))
    (place / "taken.csv").mkdir(exist_ok=True)
    assert "it is a directory" in bad("predict", "card_numbers.py", "payments.csv", "taken.csv", code=USAGE)
    held = (place / "payments.csv").read_bytes()
    assert "write to another one" in bad("predict", "card_numbers.py", "payments.csv", "./payments.csv", code=USAGE)
    assert (place / "payments.csv").read_bytes() == held


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="a folder that refuses even the super-user is Linux's /proc"
)
def test_predicting_into_a_folder_that_refuses(bad: Callable[..., str]) -> None:
    line = bad("predict", "card_numbers.py", "payments.csv", "/proc/out.csv", code=USAGE)
    assert "/proc/out.csv cannot be written" in line


def test_predicting_rows_that_are_all_wrong(bad: Callable[..., str], place: Path) -> None:
    file = write(place / "wrong.csv", HEADER + "a,c1,2024-01-01T00:00:00Z,-1,1,m,,\n" * 3)
    line = bad("predict", "card_numbers.py", file, place / "out.csv", code=FAILED)
    assert "every row was refused; the first is row 1: amount: -1.0 is not > 0" in line
    write(file, HEADER)
    assert "holds no rows" in bad("predict", "card_numbers.py", file, place / "out.csv", code=FAILED)
    assert not (place / "out.csv").exists()


@pytest.mark.parametrize("command", ["status", "journal", "predict", "parity"])
def test_before_anything_it_says_how_to_begin(bad: Callable[..., str], tmp_path: Path, command: str) -> None:
    files = ["payments.csv", tmp_path / "out.csv"] if command == "predict" else []
    line = bad(command, "card_numbers.py", *files, code=USAGE, home=tmp_path / "state")
    assert "begin with `modelwright train`" in line
    assert not (tmp_path / "state").exists()


def test_a_rehearsal_has_a_journal_of_its_own(bad: Callable[..., str]) -> None:
    assert "begin with `modelwright rehearse`" in bad("journal", "card_numbers.py", "--rehearsal", code=USAGE)


@pytest.mark.parametrize("since", [(), ("--since", "7d"), ("--since", "0"), ("--since", "9" * 30)])
def test_without_predictions_there_is_no_parity(bad: Callable[..., str], since: tuple[str, ...]) -> None:
    line = bad("parity", "card_numbers.py", *since, code=USAGE)
    wanted = f" since {since[1]}" if since else ""
    assert f"the log holds no predictions{wanted} to compare; ask for some first" in line
    assert "begin with `modelwright run --replay FILE`" in bad("parity", "card_numbers.py", "--replay", code=USAGE)


@pytest.mark.parametrize("since", ["yesterday", "7 days", "1.5", "", "0d", "\u0663"])
def test_parity_since_no_known_moment(bad: Callable[..., str], since: str) -> None:
    line = bad("parity", "card_numbers.py", "--since", since, code=USAGE)
    assert f"since={since!r}" in line
    assert "or a sequence number of the log" in line


def test_predicting_before_there_is_a_champion(
    bad: Callable[..., str], place: Path, modelwright: Callable[..., Any], tmp_path: Path
) -> None:
    assert modelwright("ingest", place / "card_numbers.py", home=tmp_path / "state").code == 0
    line = bad("predict", "card_numbers.py", "payments.csv", tmp_path / "o.csv", code=USAGE, home=tmp_path / "state")
    assert "has no champion yet; begin with `modelwright train`" in line


def test_too_little_history_is_told_in_numbers(bad: Callable[..., str], place: Path, tmp_path: Path) -> None:
    write(place / "short.csv", "".join((place / "payments.csv").read_text().splitlines(keepends=True)[:20]))
    file = changed(place, "short_system", '"payments.csv"', '"short.csv"')
    line = bad("train", file, code=FAILED, home=tmp_path / "state")
    assert re.search(r"19 rows with a known outcome; at least 40 are needed", line)


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_port_in_use_is_named_before_anything_is_done(
    card_numbers: Any, modelwright: Callable[..., Any], command: str, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        what = card_numbers.file if command == "run" else card_numbers.release
        done = modelwright(command, what, "--port", port, home=tmp_path / "state")
    assert done.code == USAGE
    wanted = f"cannot listen on 127.0.0.1:{port}: address already in use; stop what uses it, or give another --port"
    assert wanted in one_line(done.out, done.err)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("arguments", "code"), [(["train", "--fast"], USAGE), (["serve", "."], FAILED)])
def test_the_code_is_that_of_the_process(
    card_numbers: Any, modelwright: Callable[..., Any], arguments: list[str], code: int
) -> None:
    done = modelwright(*arguments, home=card_numbers.home, cwd=card_numbers.file.parent)
    one_line(done.out, done.err)
    assert done.code == code


def test_an_address_of_another_machine_is_refused(bad: Callable[..., str], card_numbers: Any) -> None:
    line = bad("serve", card_numbers.release, "--host", "192.0.2.1", "--port", 0, code=USAGE)
    assert "give an address of this machine with --host" in line


def test_a_release_that_was_altered_is_not_served(bad: Callable[..., str], card_numbers: Any, tmp_path: Path) -> None:
    for name in ("model.onnx", "contract.json"):
        folder = tmp_path / f"r-{name}"
        shutil.copytree(card_numbers.release, folder)
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
        assert f"{name} is not the file that was published" in bad("serve", folder, "--port", 0, code=FAILED)
        (folder / name).unlink()
        assert f"{name} cannot be read" in bad("serve", folder, "--port", 0, code=FAILED)
    write(folder / "manifest.json", "{}")
    assert "damaged" in bad("serve", folder, "--port", 0, code=FAILED)
    (folder / "manifest.json").unlink()
    assert "is no release" in bad("serve", folder, "--port", 0, code=FAILED)


def test_a_changed_declaration_does_not_touch_the_log(bad: Callable[..., str], place: Path) -> None:
    text = (place / "cards.py").read_text()
    write(place / "other_cards.py", text.replace("    items: int\n", "    items: float\n"))
    file = changed(place, "other_contract", "from cards import", "from other_cards import")
    line = bad("train", file, code=FAILED)
    assert "Payment.items was int and is float" in line


def test_a_state_folder_that_is_a_file(bad: Callable[..., str], place: Path, tmp_path: Path) -> None:
    home = write(tmp_path / "state", "x")
    assert "cannot be written to" in bad("train", "card_numbers.py", code=FAILED, home=home)


def test_control_c_in_training_leaves_everything_as_it_was(
    place: Path, card_numbers: Any, modelwright: Callable[..., Any], tmp_path: Path
) -> None:
    began = tmp_path / "began"
    file = with_model(place, "slow_model", f"import os, time; os.mkdir({str(began)!r}); time.sleep(600)", "pass")
    state = place / "state"
    before = state_of(state, card_numbers.release)
    command = [sys.executable, "-m", "modelwright.app.cli", "train", str(file)]
    env = {**os.environ, "MODELWRIGHT_HOME": str(state)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not began.exists():
            assert process.poll() is None, process.stderr
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == INTERRUPTED
    assert (out, err) == ("", "modelwright: interrupted; what was acknowledged is in the log\n")
    assert state_of(state, card_numbers.release) == before
    assert not [name for name in os.listdir(state / "releases") if not re.fullmatch(r"r\d+-[0-9a-f]{12}", name)]


def test_an_answer_nobody_reads_is_no_traceback(card_numbers: Any) -> None:
    journal = shlex.join([sys.executable, "-m", "modelwright.app.cli", "journal", str(card_numbers.file), "--json"])
    env = {**os.environ, "MODELWRIGHT_HOME": str(card_numbers.home)}
    done = subprocess.run(
        ["sh", "-c", f"{journal} | true"], env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stderr == ""
