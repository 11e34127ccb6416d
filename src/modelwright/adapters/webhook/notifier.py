"""The notifier port by HTTP: one POST of JSON a message, acknowledged by any status from 200 to 299."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException
from typing import IO

import msgspec

from modelwright import __version__
from modelwright.control.notice import Notice
from modelwright.core.errors import NotifyError

TIMEOUT_S = 10.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, and might take its headers to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class WebhookNotifier:
    """Posts to `url`. Proxies are those of the environment. Its errors name neither the URL nor a header."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._headers = headers
        self._timeout_s = timeout_s
        self._open = urllib.request.build_opener(_NoRedirects).open

    def send(self, notice: Notice) -> None:
        headers = {
            "Content-Type": "application/json", "User-Agent": f"modelwright/{__version__}", "Idempotency-Key": notice.id,
            **self._headers,
        }  # fmt: skip
        request = urllib.request.Request(self._url, body_of(notice), headers, method="POST")  # noqa: S310  # its scheme is checked
        try:
            with self._open(request, timeout=self._timeout_s):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            moved = "; give the address it leads to" if 300 <= error.code < 400 else ""
            raise NotifyError(f"it answers {error.code} {error.reason}{moved}") from None
        except urllib.error.URLError as error:
            reason = error.reason
            said = (reason.strerror if isinstance(reason, OSError) else None) or reason
            raise NotifyError(f"it cannot be reached: {said}") from None
        except TimeoutError:
            raise NotifyError(f"no answer within {self._timeout_s:g} s") from None
        except (OSError, HTTPException) as error:
            raise NotifyError(f"it cannot be reached: {type(error).__name__}") from None


def body_of(notice: Notice) -> bytes:
    """The message as JSON, `text` first: it is what chat programs show."""
    return msgspec.json.encode({"text": notice.text, **msgspec.to_builtins(notice)})
