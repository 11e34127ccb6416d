"""Options of what listens: `run` and `serve`."""

import argparse
import os
from typing import TYPE_CHECKING

from modelwright.app.words.values import count, milliseconds, port, seconds
from modelwright.core.errors import UsageError

if TYPE_CHECKING:
    from modelwright.app.server import Front


def add_address(sub: argparse.ArgumentParser) -> None:
    """Where it listens, and how it deals with those who ask."""
    sub.add_argument("--host", default=None, help="address to listen on (default 127.0.0.1)")
    sub.add_argument("--port", type=port, default=None, help="port to listen on (default 8000; 0 picks a free one)")
    sub.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="serving processes on that port, with one state (default 1)",
    )
    sub.add_argument(
        "--grpc-port",
        type=port,
        metavar="PORT",
        help="speak the Open Inference Protocol over gRPC on this port too (0 picks a free one)",
    )
    sub.add_argument(
        "--max-waiting",
        type=count,
        default=1024,
        metavar="N",
        help="requests that a serving process has taken and not yet answered; beyond, 503 (default 1024)",
    )
    sub.add_argument(
        "--request-timeout",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long a request may take to come in, or an answer to be read (default 30)",
    )
    sub.add_argument(
        "--idle-timeout",
        type=seconds,
        default=75.0,
        metavar="SECONDS",
        help="how long a connection stays open without a request (default 75)",
    )
    sub.add_argument(
        "--batch-wait",
        type=milliseconds,
        default=0.0,
        metavar="MS",
        help="let a request wait so many milliseconds for others, to be worked off with them: where a model is slow "
        "one row at a time (default 0: what is there together is worked off together, and nothing waits)",
    )
    sub.add_argument(
        "--batch-rows",
        type=count,
        default=64,
        metavar="N",
        help="with --batch-wait: so many rows wait no longer (default 64)",
    )
    sub.add_argument(
        "--tls-cert", metavar="FILE", help="serve HTTPS (and gRPC) with this certificate and its chain (PEM)"
    )
    sub.add_argument("--tls-key", metavar="FILE", help="the certificate's key (PEM)")
    sub.add_argument(
        "--log-format",
        choices=["none", "json"],
        default="none",
        help="json: one line a request on standard error, with its id (default none)",
    )


def add_streaming(sub: argparse.ArgumentParser) -> None:
    """The message broker that it answers too."""
    sub.add_argument(
        "--stream",
        default=os.environ.get("MODELWRIGHT_STREAM", ""),
        metavar="URL",
        help="predict the events of a message broker too: nats://, kafka:// or mqtt://HOST/INPUT, see docs/streams.md "
        "(also MODELWRIGHT_STREAM=URL)",
    )


def front_of(options: argparse.Namespace) -> "Front":
    """What stands in front of the answers. Raises `UsageError` where options do not go together or an extra is missing."""
    from modelwright.app.server import Front
    from modelwright.app.tls import Certificate, CertificateFiles
    from modelwright.app.vertex import container
    from modelwright.serving.batching import Batching
    from modelwright.serving.limits import Limits
    from modelwright.serving.traces import asked_by

    asked_by(os.environ)  # what is not installed is said before anything starts
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together: give both")
    certificate = None
    if options.tls_cert is not None:
        certificate = CertificateFiles(os.path.abspath(options.tls_cert), os.path.abspath(options.tls_key))
        Certificate(certificate)  # what does not serve is said before anything starts
    if options.grpc_port is not None:
        from modelwright.serving.grpc.extra import check_installed

        check_installed()
    return Front(
        limits=Limits(waiting=options.max_waiting, request_s=options.request_timeout, idle_s=options.idle_timeout),
        batching=Batching(wait_s=options.batch_wait / 1000, rows=options.batch_rows),
        certificate=certificate,
        log_format=options.log_format,
        aliases=container(os.environ).aliases,
        grpc_port=options.grpc_port,
    )


def listening(options: argparse.Namespace) -> tuple[str, int]:
    """The address and the port: as given, or as the container's environment says."""
    from modelwright.app.vertex import container

    said = container(os.environ)
    return options.host or said.host, said.port if options.port is None else options.port
