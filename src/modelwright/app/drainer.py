"""A drain in a process of its own, beside a server: what the table libraries hold is given back when it ends.

Loaded into the server they would double its memory for good, and hold up requests while they work. Started by `serve`, now
and then; `run` drains in its controlling process. It ends by itself, also where its parent is gone.
"""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelwright.app.priority import behind_us
from modelwright.core.errors import ModelwrightError

if TYPE_CHECKING:
    from modelwright.lake.log import Log


def drain_beside(log: "Log") -> None:
    """Drain the log in another process, and wait for it. What goes wrong it says on standard error; what is not drained
    stays safe in the buffer."""
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "modelwright.app.drainer", str(log.workspace.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the server, which then waits for us
        ) as process:
            behind_us(process.pid)
            process.communicate(msgspec.json.encode(log.schema))
    except OSError as error:  # no process or no memory left: next time, perhaps
        print(f"modelwright: the log cannot be drained now: {error}", file=sys.stderr, flush=True)


def main(root: str, schema: bytes) -> int:
    """The draining process."""
    from modelwright.core.clock import SystemClock
    from modelwright.lake.log import Log
    from modelwright.lake.rows import LogSchema
    from modelwright.lake.workspace import Workspace

    try:
        with Log.open(Workspace(Path(root)), msgspec.json.decode(schema, type=LogSchema), SystemClock()) as log:
            log.drain()
    except ModelwrightError as error:
        print(f"modelwright: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.buffer.read()))
