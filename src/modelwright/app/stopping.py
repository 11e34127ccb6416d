"""How a run is asked to end: by Ctrl-C or by SIGTERM, and heard wherever it is at that moment."""

import signal
import sys


class Stopped(BaseException):
    """Somebody asked the run to end in an orderly way (SIGTERM). No error: nothing on the way up may take it for one."""


class Stopping:
    """Raises what a signal asks for, where it comes and again at the next `heed`.

    A compiler that is at work calls back into Python and drops what is raised there: it would print it and go on.
    """

    def __init__(self) -> None:
        self._asked: type[BaseException] | None = None

    def listen(self) -> None:
        """Take the process's signals; a shell starts background jobs with Ctrl-C ignored."""
        signal.signal(signal.SIGTERM, lambda *_: self._ask(Stopped))
        signal.signal(signal.SIGINT, lambda *_: self._ask(KeyboardInterrupt))
        told = sys.unraisablehook

        def unless_asked(dropped: "sys.UnraisableHookArgs") -> None:
            if dropped.exc_type not in (Stopped, KeyboardInterrupt):
                told(dropped)

        sys.unraisablehook = unless_asked

    def heed(self) -> None:
        """Raise what was asked for and did not end the run."""
        if self._asked is not None:
            raise self._asked

    def _ask(self, what: type[BaseException]) -> None:
        self._asked = what
        raise what
