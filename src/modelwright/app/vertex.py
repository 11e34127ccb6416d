"""What Vertex AI tells a container in its environment: the port to listen on, and where it asks for health and predictions.

Read by the command line for `serve` and `run`, whose options go before it. The routes are further names of /ping and
/invocations, which understand its bodies.

Reference: "Custom container requirements for prediction", the AIP_ variables.
"""

from collections.abc import Mapping

import msgspec

from modelwright.core.errors import UsageError

_ROUTES = {"AIP_HEALTH_ROUTE": "/ping", "AIP_PREDICT_ROUTE": "/invocations"}


class Container(msgspec.Struct, frozen=True):
    """Where to listen, and the paths that stand for others. Out of such a container: our defaults, and none."""

    host: str
    port: int
    aliases: dict[str, str]


def container(environ: Mapping[str, str]) -> Container:
    """What the environment says; UsageError where it says what cannot be.

    >>> container({"AIP_HTTP_PORT": "8080", "AIP_HEALTH_ROUTE": "/health"})
    Container(host='0.0.0.0', port=8080, aliases={'/health': '/ping'})
    >>> container({})
    Container(host='127.0.0.1', port=8000, aliases={})
    """
    aliases: dict[str, str] = {}
    for name, stands_for in _ROUTES.items():
        route = environ.get(name)
        if not route:
            continue
        if not route.startswith("/") or "?" in route:
            raise UsageError(f"{name}={route} is no path: it begins with a slash and has no question mark")
        if route in aliases:
            raise UsageError(f"AIP_HEALTH_ROUTE and AIP_PREDICT_ROUTE are both {route}: give each a path of its own")
        aliases[route] = stands_for
    said = environ.get("AIP_HTTP_PORT")
    if not said:
        return Container("127.0.0.1", 8000, aliases)
    if not (said.isascii() and said.isdigit() and 0 < int(said[:6]) <= 65535):
        raise UsageError(f"AIP_HTTP_PORT={said} is no port: it is a number from 1 to 65535")
    return Container("0.0.0.0", int(said), aliases)  # noqa: S104 - Vertex AI asks from outside the container
