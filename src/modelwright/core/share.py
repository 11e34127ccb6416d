"""Who is in a share of all requests: by a hash of a key, so that nobody is asked and everybody agrees.

The serving processes and the rehearsal decide by it whose answer is sent in a canary. It keeps nothing.
"""

import hashlib

_ALL = 1 << 64


def is_in_share(key: str, rollout: str, share: float) -> bool:
    """Whether a key belongs to that share (0 to 1) in a rollout.

    A key always gives the same; whoever is in a share is in every larger one of the rollout. Another rollout draws anew.

    >>> [is_in_share("card-18", "r2", share) for share in (0.0, 0.05, 0.25, 1.0)]
    [False, False, True, True]
    """
    if share <= 0.0:
        return False
    digest = hashlib.blake2b(f"{rollout}\0{key}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < share * _ALL
