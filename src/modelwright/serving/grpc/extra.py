"""What `modelwright[grpc]` installs: looked for before a server starts, so that what is absent is said in one line."""

from importlib import import_module

from modelwright.core.errors import MissingExtraError

LIBRARIES = {"h2": "h2.connection", "protobuf": "google.protobuf"}
"""The libraries, and a module of each."""


def check_installed() -> None:
    """MissingExtraError with the install command where a library is absent."""
    for library, module in LIBRARIES.items():
        try:
            import_module(module)
        except ImportError:
            raise MissingExtraError(library, "grpc", "--grpc-port") from None
