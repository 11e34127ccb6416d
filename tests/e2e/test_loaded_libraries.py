"""What a serving process holds in memory: of the heavy libraries those it answers with, and no others.

Read from /proc, of real processes; elsewhere skipped.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwright.core.clock import SystemClock
from modelwright.core.machine_code import fits_machine
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import read_manifest
from modelwright.spec.contract import Contract

HEAVY = (
    "numba", "llvmlite", "onnxruntime", "pyarrow", "deltalake", "pandas", "scipy", "sklearn", "lightgbm", "xgboost",
    "catboost", "onnx", "mlflow", "duckdb", "torch",
)  # fmt: skip
DRAINED_WITHIN_S = 120.0
GOAL_MB = 110.0
"""What a server without a log may hold in memory."""
GOAL_WITH_HISTORY_MB = 240.0
"""What one with a log and views may hold after its first answers."""


def loaded(process: Any) -> set[str]:
    """The heavy libraries of which a process has mapped a file. scipy is numba's: it takes it where it finds it."""
    maps = Path(f"/proc/{process.pid}/maps")
    if not maps.exists():
        pytest.skip("which libraries a process holds is read from /proc: run this on Linux")
    text = maps.read_text()
    assert "/lmdb/" in text
    return {name for name in HEAVY if f"/site-packages/{name}/" in text} - {"scipy"}


def log_of(server: Any, release: Path) -> Log:
    contract = msgspec.json.decode((release / "contract.json").read_bytes(), type=Contract)
    label = read_manifest(release).label
    schema = LogSchema(contract, label.name, label.kind)
    return Log.open(Workspace(server.workspace), schema, SystemClock(), readonly=True)


def test_a_server_holds_no_table_library_though_its_log_was_drained(
    plain_cards: Any, serve: Any, payment: Callable[..., dict[str, Any]]
) -> None:
    server = serve(plain_cards.release)
    assert server.post("/predict", payment("first")).status == 200
    with log_of(server, plain_cards.release) as log:
        for part in range(3):
            events = [payment(f"p{part}-{number}") for number in range(10_000)]
            assert server.post("/events", events).status == 200
        deadline = time.monotonic() + DRAINED_WITHIN_S
        while log.buffered() > 20_000 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert log.buffered() <= 20_000, server.messages()
        assert log.events().num_rows == 30_001
    assert server.post("/predict", payment("last")).status == 200
    assert loaded(server.process) == (set() if fits_machine() else {"numba", "llvmlite"})
    assert server.stop() == 0
    assert server.messages() == ""


def test_a_server_that_reads_history_holds_no_compiler_and_answers_in_little_memory(
    card_numbers: Any, serve: Any, payment: Callable[..., dict[str, Any]]
) -> None:
    if not fits_machine():
        pytest.skip("what replaces numba is made for Linux on x86-64")
    assert read_manifest(card_numbers.release).views
    server = serve(card_numbers.release)
    for number in range(1_000):
        assert server.post("/predict", payment(f"p{number}")).status == 200
    assert loaded(server.process) == set()
    assert server.memory_mb() < GOAL_WITH_HISTORY_MB
    assert server.stop() == 0
    assert server.messages() == ""


def test_a_server_without_a_log_holds_none_of_them_and_answers_in_little_memory(
    plain_cards: Any, serve: Any, payment: Callable[..., dict[str, Any]]
) -> None:
    if not fits_machine():
        pytest.skip("what replaces numba is made for Linux on x86-64")
    server = serve(plain_cards.release, options=["--no-log"])
    for number in range(100):
        assert server.post("/predict", payment(f"p{number}")).status == 200
    assert server.post("/predict", [payment(f"q{number}") for number in range(1_000)]).status == 200
    assert loaded(server.process) == set()
    assert server.memory_mb() < GOAL_MB
    assert server.stop() == 0
    assert server.messages() == ""


def test_what_serves_and_drains_imports_of_the_heavy_libraries_none_by_itself() -> None:
    """Each is imported by what needs it: numba by history, or a compiled release without an image for this machine; ONNX
    Runtime by a release in ONNX."""
    code = (
        "import sys, modelwright.app.commands.serve, modelwright.serving.stateless, modelwright.app.drainer, "
        "modelwright.app.server; "
        f"print(sorted({{*{HEAVY!r}}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
