"""The TLS context of a connection to a broker: a server that is checked, against `ca` or what the system trusts."""

import ssl

from modelwright.adapters.address import Address
from modelwright.core.errors import StreamError


def context_of(address: Address) -> ssl.SSLContext | None:
    """None without TLS. Raises StreamError for files that are not to be used."""
    if not address.tls:
        return None
    ca, cert, key = (address.options.get(name) or None for name in ("ca", "cert", "key"))
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except OSError as error:
        raise StreamError(f"ca={ca}, cert={cert}, key={key} cannot be used ({error}); give PEM files") from None
    return context
