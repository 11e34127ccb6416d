"""A trainer in a process of its own, kept for as long as the system runs. It checks parity too, which reads as much.

The parent writes one JSON line an order and reads one line back; between them the child keeps its libraries loaded.
The child ends when its standard input does, so that it never outlives the parent; what it had not published is gone
with it.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from modelwright.control.trainer import InProcessTrainer, Trained
from modelwright.core.clock import SystemClock
from modelwright.core.errors import ModelwrightError, TrainingError, WorkspaceError
from modelwright.lake.log import Log
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.parity import ParityReport, check_parity

Kind = Literal["model", "baseline"]
PATIENCE_S = 0.2
"""How long the parent waits at a time before it looks after other things."""


class Order(msgspec.Struct, tag="train"):
    """What the parent asks for: a release."""

    kind: Kind
    now_us: int
    number: int
    champion: str | None
    change_us: int


class ParityOrder(msgspec.Struct, tag="parity"):
    """Or a comparison of what was served, in the rows `after < seq <= upto` of the log."""

    after: int
    upto: int


class Reply(msgspec.Struct):
    """What the child answers: what was ordered, or why there is none."""

    trained: Trained | None = None
    parity: ParityReport | None = None
    error: str = ""


class TrainerProcess:
    """The `Trainer` of a running system. `meanwhile` is called every now and then while it waits."""

    def __init__(self, system_path: Path, workspace: Workspace, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._command = [sys.executable, "-m", "modelwright.app.trainer_process", str(system_path), str(workspace.root)]
        self._meanwhile = meanwhile
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._replies: queue.Queue[bytes] = queue.Queue()

    def start(self) -> None:
        """Start the child, so that it is warm when it is needed."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        self._replies = queue.Queue()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, args=(self._process, self._replies), daemon=True)
        self._reader.start()

    @staticmethod
    def _read(process: "subprocess.Popen[bytes]", replies: "queue.Queue[bytes]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                replies.put(line)
        replies.put(b"")

    def train(self, kind: Kind, now_us: int, number: int, champion: str | None, change_us: int) -> Trained:
        """Have one trained; TrainingError also where the child died, which the next order starts anew."""
        reply = self._ask(Order(kind, now_us, number, champion, change_us))
        if reply.trained is None:
            raise TrainingError(reply.error)
        return reply.trained

    def check_parity(self, after: int, upto: int) -> ParityReport:
        """Have what was served compared with what is recomputed; WorkspaceError where that failed."""
        reply = self._ask(ParityOrder(after, upto))
        if reply.parity is None:
            raise WorkspaceError(reply.error)
        return reply.parity

    def _ask(self, order: Order | ParityOrder) -> Reply:
        self.start()
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
            line = self._wait()
        except BrokenPipeError:
            line = b""
        if not line:
            code = self._process.wait()
            return Reply(error=f"the trainer process ended with code {code}; it is started anew when it is needed next")
        return msgspec.json.decode(line, type=Reply)

    def _wait(self) -> bytes:
        while True:
            try:
                return self._replies.get(timeout=PATIENCE_S)
            except queue.Empty:
                self._meanwhile()

    def stop(self) -> None:
        """End the child now, mid-training or not."""
        if self._process is None:
            return
        assert self._process.stdin is not None and self._reader is not None
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(PATIENCE_S)  # what the child has started may hold the pipe open
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process = None


def main(system_path: str, root: str) -> int:
    """The child: read orders from standard input until it ends."""
    from modelwright.app.system import load
    from modelwright.app.wiring import log_schema
    from modelwright.control.material import read_material

    # What the user's own code prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    system = load(system_path)
    workspace = Workspace(Path(root))
    log = Log.open(workspace, log_schema(system), SystemClock(), readonly=True)
    _warm_up()
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order | ParityOrder)
        reply: Any
        try:
            if isinstance(order, ParityOrder):
                reply = Reply(parity=check_parity(log, order.after, order.upto))
            else:
                with workspace.awaited("training"):  # `train`, or what a run that was killed has left behind
                    trainer = InProcessTrainer(system, read_material(log, system), workspace.releases)
                    reply = Reply(
                        trainer.train(order.kind, order.now_us, order.number, order.champion, order.change_us)
                    )
        except ModelwrightError as error:
            reply = Reply(error=str(error))
        except Exception as error:
            reply = Reply(error=f"{type(error).__name__}: {error}")
        answers.write(msgspec.json.encode(reply) + b"\n")
        answers.flush()
    return 0


def _warm_up() -> None:
    """Import what a training needs before it is asked for."""
    import onnxruntime  # noqa: F401
    import pandas  # noqa: F401, ICN001
    import skl2onnx  # noqa: F401


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
