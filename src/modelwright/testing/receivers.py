"""Receivers of alerts to test against: a web server, a mail server and a program, all real, on this machine."""

import socketserver
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

Mood = Literal["takes", "refuses", "hangs"]
HANG_S = 5.0
"""A receiver that hangs gives up after so long: longer than any notifier of a test waits."""


class Received(Protocol):
    """What a test sees of a receiver: every message it was sent, raw, and the `mood` it is in."""

    mood: Mood

    @property
    def messages(self) -> list[str]: ...


class _Server:
    """A server on a thread. Leaving the block frees what hangs."""

    def __init__(self, server: socketserver.BaseServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self.port: int = server.server_address[1]  # type: ignore[assignment,index]  # of an internet socket
        self.mood: Mood = "takes"
        self.released = threading.Event()
        self.raw: list[str] = []

    @property
    def messages(self) -> list[str]:
        return self.raw

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class WebServer(_Server):
    """Takes POSTs; `headers` of the latest. `status` is what it answers when it refuses."""

    def __init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.headers = dict(self.headers)
                if receiver.mood == "hangs":
                    receiver.released.wait(HANG_S)
                    return
                receiver.raw.append(body)
                self.send_response(200 if receiver.mood == "takes" else receiver.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None: ...

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.headers: dict[str, str] = {}
        self.status = 503
        self.url = f"http://127.0.0.1:{self.port}/hook"


class MailServer(_Server):
    """Speaks SMTP. With `tls` it offers STARTTLS and takes users; `logins` are what they sent, `clear` what came before TLS."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        receiver = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def handle(self) -> None:
                if receiver.mood == "hangs":
                    receiver.released.wait(HANG_S)
                    return
                secure = False
                self.say("220 here")
                while line := self.rfile.readline().decode().strip():
                    word, _, rest = line.partition(" ")
                    if not secure:
                        receiver.clear.append(line)
                    match word.upper():
                        case "EHLO" if tls and not secure:
                            self.say("250-here\r\n250 STARTTLS")
                        case "EHLO" if secure:
                            self.say("250-here\r\n250 AUTH PLAIN")
                        case "EHLO":
                            self.say("250 here")
                        case "STARTTLS":
                            assert tls is not None
                            self.say("220 go on")
                            try:
                                self.connection = tls.wrap_socket(self.connection, server_side=True)
                            except ssl.SSLError:  # the client does not trust the certificate
                                return
                            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                            secure = True
                        case "AUTH":
                            receiver.logins.append(rest)
                            self.say("235 welcome")
                        case "RCPT" if receiver.mood == "refuses":
                            self.say("550 nobody of that name")
                        case "DATA":
                            self.say("354 go on")
                            receiver.raw.append("".join(iter(self.line, ".\r\n")))
                            self.say("250 taken")
                        case "QUIT":
                            self.say("221 bye")
                            return
                        case _:
                            self.say("250 fine")

            def finish(self) -> None:
                self.connection.close()

            def line(self) -> str:
                return self.rfile.readline().decode()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        super().__init__(Server(("127.0.0.1", 0), Handler))
        self.clear: list[str] = []
        self.logins: list[str] = []


class Program:
    """A program that appends what it is sent to a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said = folder / "mood"
        (folder / "told.py").write_text(
            "import json, os, pathlib, sys, time\n"
            "here = pathlib.Path(__file__).parent\n"
            "mood = (here / 'mood').read_text()\n"
            f"if mood == 'hangs': time.sleep({HANG_S})\n"
            "if mood == 'refuses': sys.exit('nobody is in')\n"
            "said = json.load(sys.stdin) | {'text': os.environ['MODELWRIGHT_ALERT']}\n"
            "(here / 'said').open('a').write(json.dumps(said) + '\\n')\n"
        )
        self.arguments = [sys.executable, "-S", str(folder / "told.py")]
        self.mood = "takes"

    @property
    def mood(self) -> Mood:
        word = self._said.read_text()
        return "hangs" if word == "hangs" else "refuses" if word == "refuses" else "takes"

    @mood.setter
    def mood(self, mood: Mood) -> None:
        self._said.write_text(mood)

    @property
    def messages(self) -> list[str]:
        said = self._folder / "said"
        return said.read_text().splitlines() if said.exists() else []
