"""Ports of this machine for servers that cannot pick one themselves, or whose port must be known before they start."""

import random
import socket

FIRST, LAST = 10_000, 30_000
"""Below what Linux and macOS give to whoever asks for any port: there somebody else may get it before its server does."""


def free_port() -> int:
    """A port on which nothing listens, nor is likely to before the server that it is for."""
    chance = random.SystemRandom()  # not the one that tests seed, each alike
    while True:
        port = chance.randrange(FIRST, LAST)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
