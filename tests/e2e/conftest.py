"""Real processes for the end-to-end tests: the command line, a trained system of card payments, servers on free ports."""

import csv
import http.client
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from modelwright.serving.limits import LIMITS, RESERVED_FILES

CARDS = Path(__file__).parents[1] / "systems" / "cards.py"
NUMBERS = '''\
"""The same payments, predicted from numbers alone by trees: a compiled release, which serves without training libraries."""

from cards import Payment, history
from lightgbm import LGBMClassifier

import modelwright as mw
from modelwright import source

numbers = ["amount", "items", *(name for name in history.features if name != "last_merchant")]

system = mw.System(
    name="card-numbers",
    event=Payment,
    source=source.files("payments.csv"),
    features=[history],
    inputs=numbers,
    label=mw.Label("is_fraud", bool, delay="1d"),
    model=LGBMClassifier(n_estimators=20, verbose=-1),
)
'''

PLAIN = '''\
"""Payments as they are, without history."""

from cards import Payment
from lightgbm import LGBMClassifier

import modelwright as mw
from modelwright import source

system = mw.System(
    name="plain-cards",
    event=Payment,
    source=source.files("payments.csv"),
    inputs=["amount", "items"],
    label=mw.Label("is_fraud", bool, delay="1d"),
    model=LGBMClassifier(n_estimators=20, verbose=-1),
)
'''


def payments(rows: int, seed: int = 7) -> list[dict[str, Any]]:
    """Payments of 30 cards, one to sixty minutes apart; large ones at two merchants are often fraud."""
    chance = random.Random(seed)
    at = datetime(2024, 3, 1, tzinfo=UTC)
    made = []
    for number in range(rows):
        at += timedelta(minutes=chance.randint(1, 60))
        amount, merchant = round(chance.lognormvariate(3, 1), 2), chance.choice("abcdef")
        made.append(
            {
                "payment_id": f"p{number}", "card": f"c{chance.randint(0, 29)}", "at": at.isoformat(), "amount": amount,
                "items": chance.randint(1, 5), "merchant": merchant, "country": chance.choice(["DE", "FR", None]),
                "is_fraud": chance.random() < (0.7 if amount > 30 and merchant in "ab" else 0.1),
            }
        )  # fmt: skip
    return made


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Trained:
    """A system that has been trained: its file, its state folder and its champion's folder."""

    file: Path
    home: Path
    release: Path


class Server:
    """`modelwright serve` in a process of its own; a context manager."""

    def __init__(
        self, release: Path, workspace: Path, extra_env: dict[str, str] | None = None, options: Sequence[Any] = ()
    ) -> None:
        self.workspace = workspace
        self._messages = workspace.parent / f"{workspace.name}.stderr"
        command = [sys.executable, "-m", "modelwright.app.cli", "serve", str(release), "--port", "0", "--json"]
        state = [] if "--no-log" in options else ["--workspace", str(workspace)]
        with self._messages.open("ab") as messages:
            self.process = subprocess.Popen(
                [*command, *state, *map(str, options)],
                stdout=subprocess.PIPE, stderr=messages, env={**environment(workspace), **(extra_env or {})},
            )  # fmt: skip

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            raise AssertionError(self.messages())
        self.started = json.loads(line)
        parts = urlsplit(self.started["address"])
        self.address = (parts.hostname or "", parts.port or 0)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def messages(self) -> str:
        """What it said on standard error, but that few files may be open, where this machine allows no more."""
        said = self._messages.read_text()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard == resource.RLIM_INFINITY or hard >= LIMITS.waiting + RESERVED_FILES:
            return said
        return "".join(line for line in said.splitlines(keepends=True) if "files may be open" not in line)

    def memory_mb(self) -> float:
        """What it holds in memory, in MiB; 0 where the system does not say."""
        status = Path(f"/proc/{self.process.pid}/status")
        return int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024 if status.exists() else 0.0

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.address, timeout=240)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """One request on a connection of its own; a body that is no bytes is sent as JSON."""
        connection = self.connect()
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> Reply:
        return self.ask("POST", path, body)

    def metric(self, line: str) -> float:
        """The value of one line of /metrics, 0 where there is none."""
        for said in self.ask("GET", "/metrics").body.decode().splitlines():
            if said.startswith(f"{line} "):
                return float(said.rpartition(" ")[2])
        return 0.0


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "MODELWRIGHT_HOME": str(home), "MODELWRIGHT_TRACKING": "off", "PYTHONWARNINGS": "default"}


def run_command(*arguments: Any, home: Path, cwd: Path | None = None, timeout: float = 240) -> Done:
    """One modelwright command, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "modelwright.app.cli", *map(str, arguments)],
        env=environment(home), cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def train_in(folder: Path, system: str, rows: int = 500, plain: str = PLAIN) -> Trained:
    shutil.copy(CARDS, folder)
    (folder / "card_numbers.py").write_text(NUMBERS)
    (folder / "plain_cards.py").write_text(plain)
    write_csv(folder / "payments.csv", payments(rows))
    home = folder / "state"
    done = run_command("train", folder / system, "--json", home=home)
    assert done.code == 0, done.err
    assert done.json["promoted"], done.out
    return Trained(folder / system, home, home / "releases" / done.json["release"])


@pytest.fixture(scope="session")
def modelwright() -> Callable[..., Done]:
    """Runs a command: `modelwright("train", file, home=folder)`."""
    return run_command


@pytest.fixture(scope="session")
def environment_of() -> Callable[..., dict[str, str]]:
    """The environment a command runs in: `environment_of(home)`."""
    return environment


@pytest.fixture(scope="session")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A system with string inputs, trained; its release is in the native form. Tests copy its state, never change it."""
    return train_in(tmp_path_factory.mktemp("cards"), "cards.py")


@pytest.fixture(scope="session")
def card_numbers(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A system with number inputs, trained; its release is in the compiled form."""
    return train_in(tmp_path_factory.mktemp("numbers"), "card_numbers.py")


@pytest.fixture(scope="session")
def plain_cards(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A system without features of history, trained; its release is in the compiled form."""
    return train_in(tmp_path_factory.mktemp("plain"), "plain_cards.py")


@pytest.fixture
def declare_plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Trained]:
    """Trains the system without features of history with another model: its expression, and the imports that takes."""

    def train(model: str, imports: str) -> Trained:
        folder = tmp_path_factory.mktemp("other")
        words = {
            "LGBMClassifier(n_estimators=20, verbose=-1)": model,
            "import modelwright as mw\n": f"{imports}\nimport modelwright as mw\n",
        }
        text = PLAIN
        for old, new in words.items():
            assert old in text
            text = text.replace(old, new)
        return train_in(folder, "plain_cards.py", plain=text)

    return train


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the module: `serve(release)`, `serve(release, workspace, options=["--max-waiting", 4])`,
    `serve(release, options=["--no-log"])`."""
    with ExitStack() as stack:

        def start(release: Path, workspace: Path | None = None, options: Sequence[Any] = (), **env: str) -> Server:
            state = workspace or tmp_path_factory.mktemp("served") / "state"
            return stack.enter_context(Server(release, state, env, options))

        yield start


@pytest.fixture(scope="session")
def payment() -> Callable[..., dict[str, Any]]:
    """A payment's body: `payment("p1", amount=3.5)`."""

    def made(id: str, **changes: Any) -> dict[str, Any]:
        body = {
            "payment_id": id,
            "card": "c1",
            "at": "2024-06-01T12:00:00Z",
            "amount": 20.0,
            "items": 1,
            "merchant": "a",
        }
        return {**body, **changes}

    return made


@pytest.fixture(scope="session")
def some_payments() -> Callable[..., list[dict[str, Any]]]:
    """Seeded payments with their outcomes: `some_payments(500)`."""
    return payments


@pytest.fixture(scope="session")
def to_csv() -> Callable[..., Path]:
    """Writes rows as CSV: `to_csv(path, rows)`."""
    return write_csv
