"""The main program of a serving process that somebody else keeps running: of `run`, or of `serve --workers`."""

import select
import shutil
import sys

import msgspec

from modelwright.app.commands.serve import serve_release
from modelwright.app.server import ServerConfig, Task, serve_system
from modelwright.app.words.parser import tell
from modelwright.core.errors import ModelwrightError


def main() -> int:
    """Serve until told to end, or until the parent is gone."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    try:
        with task.place.sockets() as sockets:
            if isinstance(task.serves, ServerConfig):
                serve_system(task.serves, sockets, task.place)
            else:
                serve_release(task.serves, sockets, task.place)
    except ModelwrightError as error:
        return tell(error)
    finally:
        if select.select([sys.stdin], [], [], 0)[0]:  # the parent is gone, and leaves nobody else to tidy up
            shutil.rmtree(task.place.shared, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
