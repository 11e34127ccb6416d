"""The command line's list: every file of words is on it, a call reads its own alone, and help costs no library."""

import json
import subprocess
import sys
from importlib.resources import files

import pytest

from modelwright import __version__
from modelwright.app.cli import COMMANDS, main, parser
from modelwright.core.errors import UsageError

SHARED = {"__init__", "parser", "values", "listening"}
HEAVY = {"numpy", "numba", "pyarrow", "lmdb", "deltalake", "onnxruntime", "msgspec"}
LOADED = "\nimport json; print(json.dumps(sorted(sys.modules)))"


def loaded_by(*words: str) -> set[str]:
    code = (
        f"import sys\nfrom modelwright.app.cli import main\ntry: main({list(words)})\nexcept SystemExit: pass{LOADED}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_every_file_of_words_is_on_the_list():
    there = {
        file.name.removesuffix(".py") for file in files("modelwright.app.words").iterdir() if file.name.endswith(".py")
    }
    assert {words for _, words, _ in COMMANDS} == there - SHARED


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]])
def test_help_reads_only_what_it_tells_and_no_library(words):
    loaded = loaded_by(*words)
    read = {name.rpartition(".")[2] for name in loaded if name.startswith("modelwright.app.words.")} - SHARED
    assert read == set(words) - {"--help"}
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS if name not in ("key", "serve")])
def test_a_command_has_its_options_where_it_is_named(name, capsys):
    with pytest.raises(SystemExit):
        parser([name]).parse_args([name, "--help"])
    assert "--json" in capsys.readouterr().out
    with pytest.raises(UsageError, match="unrecognized arguments: --json"):
        parser([]).parse_args([name, "--json"])


@pytest.mark.parametrize("words", [["--from", "0.5"], ["--once"], ["--seconds", "3"]])
def test_what_only_a_replay_can_honour_is_refused_without_one(words, capsys):
    assert main(["run", "system.py", *words]) == 2
    assert f"{words[0]} goes with --replay FILE" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "soon"])
def test_a_replay_is_bounded_by_a_time(seconds, capsys):
    assert main(["run", "system.py", "--replay", "a.csv", f"--seconds={seconds}"]) == 2
    assert f"{seconds} is no time" in capsys.readouterr().err


def test_the_package_is_a_program():
    command = [sys.executable, "-m", "modelwright", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"modelwright {__version__}\n"
