"""Brokers that ask for a password and are spoken to over TLS: the right one opens, anything else is one line."""

import asyncio
import shutil
import subprocess

import pytest

from modelwright.adapters.address import addresses
from modelwright.app.streams import stream_of
from modelwright.core.errors import StreamError
from modelwright.testing.brokers import Mosquitto, NatsServer

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command makes the certificates")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture(params=[NatsServer, Mosquitto])
def server(request, service, pair, tmp_path):
    """A server with a user `me` of password `p@ss`, which speaks TLS alone."""
    service(request.param)
    cert, key = pair

    class Guarded(request.param):
        def command(self):
            plain = super().command()
            if request.param is NatsServer:
                return [*plain, "--tls", "--tlscert", str(cert), "--tlskey", str(key), "--user", "me", "--pass", "p@ss"]
            passwords, config = self.folder / "passwords", self.folder / "mosquitto.conf"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "me", "p@ss"], check=True)
            config.write_text(
                config.read_text().replace("allow_anonymous true", "allow_anonymous false")
                + f"certfile {cert}\nkeyfile {key}\npassword_file {passwords}\n"
            )
            return plain

    with Guarded(tmp_path) as started:
        yield started


def opened(url):
    async def work():
        stream = stream_of(addresses(url, "mw", ["predict"])[0])
        try:
            await stream.open()
        finally:
            await stream.close()

    asyncio.run(work())


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_password_over_checked_tls_opens_and_nothing_else_does(server, pair):
    technology = "nats" if isinstance(server, NatsServer) else "mqtt"
    where = f"localhost:{server.port}/guarded"
    opened(f"{technology}+tls://me:p%40ss@{where}?ca={pair[0]}")
    for url in (
        f"{technology}+tls://me:wrong@{where}?ca={pair[0]}",
        f"{technology}+tls://{where}?ca={pair[0]}",
        f"{technology}+tls://me:p%40ss@{where}",
        f"{technology}+tls://me:p%40ss@{where}?ca=/nowhere.pem",
        f"{technology}://me:p%40ss@{where}",
    ):
        with pytest.raises(StreamError) as refused:
            opened(url)
        said = str(refused.value)
        assert "\n" not in said
        assert "p@ss" not in said
