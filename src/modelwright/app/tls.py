"""A server's certificate: read before anything starts, and again when its files change, so that a renewal needs no restart."""

import ssl
import sys
from pathlib import Path

import msgspec

from modelwright.core.errors import UsageError

RENEWED_S = 1.0
"""How often the files are looked at, in seconds."""


class CertificateFiles(msgspec.Struct, frozen=True):
    """The certificate with its chain, and its key, both in PEM."""

    chain: str
    key: str


class Certificate:
    """What new connections are met with: those of HTTP (`context`) and those of gRPC (`h2`)."""

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._seen = self._state()
        self.context = _read(files, "http/1.1")
        self.h2 = _read(files, "h2")

    def look(self) -> None:
        """Take what the files hold now, where it has changed; what cannot be taken is told, and the old one goes on."""
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            _read(self._files, "h2")  # half of a pair must not reach the one that is in use
            for context in (self.context, self.h2):
                context.load_cert_chain(self._files.chain, self._files.key)
        except (UsageError, OSError) as error:
            print(f"modelwright: {error}; the certificate before it stays in use", file=sys.stderr, flush=True)

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_stat(Path(self._files.chain)), _stat(Path(self._files.key))]


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(files: CertificateFiles, protocol: str) -> ssl.SSLContext:
    """TLS 1.2 and later with these files for one protocol; UsageError naming the file that does not serve."""
    for option, name in (("--tls-cert", files.chain), ("--tls-key", files.key)):
        try:
            Path(name).read_bytes()
        except OSError as error:
            raise UsageError(f"{option} {name}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([protocol])
    try:
        context.load_cert_chain(files.chain, files.key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(
                f"--tls-key {files.key} is not the key of --tls-cert {files.chain}; give the pair"
            ) from None
        raise UsageError(
            f"--tls-cert {files.chain} and --tls-key {files.key}: not a certificate and its key in PEM"
            f" ({error.reason or error})"
        ) from None
    return context


def _no_password() -> str:
    raise UsageError("--tls-key is protected by a password, which nobody is there to give; take the password off")


def unverified() -> ssl.SSLContext:
    """For asking our own socket: the certificate is for the name the world uses, and we hold its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
