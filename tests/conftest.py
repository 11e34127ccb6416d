"""Small systems with seeded histories of their own, in folders of their own, and nothing tracked in the background."""

import os
import re
import runpy
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, settings

from modelwright.testing.brokers import ServerProcess

# What a machine's environment asks of others: proxies, collectors of traces, a container's routes, streams, how a terminal looks.
FOREIGN = re.compile(
    r"(?i:(https?|all|grpc)_proxy)|OTEL_\w+|AIP_\w+|MODELWRIGHT_(STREAM|SMTP)|PYTHONWARNINGS|COLUMNS|LINES|(FORCE|NO)_COLOR"
)
for name in filter(FOREIGN.fullmatch, list(os.environ)):
    del os.environ[name]
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a shell starts background jobs with it ignored, and theirs too

os.environ["MODELWRIGHT_TRACKING"] = "off"
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tests run beside each other, and threads that spin take each other's cores

# The same examples each time, so that what was green stays so; the slow profile draws new ones.
settings.register_profile("normal", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("slow", max_examples=1000, deadline=None)
settings.register_profile("first", max_examples=300, deadline=None, phases=[Phase.explicit, Phase.generate])
"""Stops at the first failure as it was drawn: to see a broken promise go red without waiting for the least example."""
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "normal"))

SYSTEMS = Path(__file__).parent / "systems"
EXAMPLE = Path(__file__).parents[1] / "examples" / "electricity"
collect_ignore = ["systems"]


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """State lies beside the system file, wherever the tests are started from."""
    monkeypatch.delenv("MODELWRIGHT_HOME", raising=False)
    monkeypatch.delenv("ONCE", raising=False)


@pytest.fixture(scope="session")
def service() -> Callable[[type[ServerProcess]], None]:
    """Skips the test where a server's program is absent, or fails it with MODELWRIGHT_SERVICES=required."""

    def needed(kind: type[ServerProcess]) -> None:
        if missing := kind.missing():
            (pytest.fail if os.environ.get("MODELWRIGHT_SERVICES") == "required" else pytest.skip)(missing)

    return needed


@pytest.fixture(scope="session")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a system of `tests/systems` with its history, written once; not to be written to."""
    made: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in made:
            folder = made[name] = tmp_path_factory.mktemp(name)
            shutil.copy(SYSTEMS / f"{name}.py", folder / "system.py")
            runpy.run_path(str(folder / "system.py"))["write_history"](folder)
        return made[name]

    return folder_of


@pytest.fixture
def declare(tmp_path: Path, histories: Callable[[str], Path]) -> Callable[..., Path]:
    """Puts a system and its history into a folder of its own; gives the system file. Words of the file may be replaced:

    declare("sales", {'every("7d")': 'every("1d")'})
    """

    def put(name: str, replace: dict[str, str] | None = None) -> Path:
        folder = tmp_path / name
        shutil.copytree(histories(name), folder)
        file = edited(folder / "system.py", replace or {})
        if replace:  # the words may be those that write the history
            runpy.run_path(str(file))["write_history"](folder)
        return file

    return put


@pytest.fixture(scope="session")
def market_of() -> Callable[..., Path]:
    """Puts the electricity example with the first rows of its history into a folder; gives the system file."""

    def put(folder: Path, rows: int, replace: dict[str, str] | None = None) -> Path:
        (folder / "data").mkdir()
        shutil.copy(EXAMPLE / "system.py", folder)
        pq.write_table(pq.read_table(EXAMPLE / "data/elec2.parquet").slice(0, rows), folder / "data/elec2.parquet")
        return edited(folder / "system.py", replace or {})

    return put


def edited(file: Path, replace: dict[str, str]) -> Path:
    """The file with words replaced, each of which must be there."""
    text = file.read_text()
    for old, new in replace.items():
        assert old in text, f"{file.name} has no {old!r}"
        text = text.replace(old, new)
    file.write_text(text)
    return file
