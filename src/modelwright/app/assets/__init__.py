"""The pages' sources, and how they become one file: styles, scripts and data inlined into an HTML template.

`report` and `console` fill in what is theirs. A page never refers to anything outside itself: its content security policy
allows its own script and style by their hashes, so a browser refuses whatever data might smuggle in.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any


def read_asset(name: str) -> str:
    """Text of a source file of this folder; FileNotFoundError where there is none."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def metrics() -> dict[str, dict[str, Any]]:
    """What pages know of metrics by name: a `label` for people, and whether it is a `share` to be shown in per cent."""
    known: dict[str, dict[str, Any]] = json.loads(read_asset("metrics.json"))
    return known


def json_block(data: Any) -> str:
    """JSON that can stand inside a `<script>` element whatever strings it holds; numbers that are not finite become null.

    >>> json_block({"name": "</script>", "live": float("nan")})
    '{"name":"\\\\u003c/script\\\\u003e","live":null}'
    """
    text = json.dumps(_finite(data), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def assemble(template: str, *, scripts: Sequence[str], data: Any, slots: Mapping[str, str], connect: str) -> str:
    """One self-contained HTML page.

    `template` and `scripts` name files of this folder; scripts share one scope, in the order given. `data` becomes the JSON
    element `#data`. `slots` are finished HTML, escaped by the caller; every page has a `title`. `connect` is the policy's
    `connect-src`: "'none'" or "'self'".
    """
    style, wordmark = read_asset("style.css"), read_asset("wordmark.html").strip()
    script = '"use strict";\n{\n' + "\n".join(read_asset(name) for name in scripts) + "\n}\n"
    policy = (
        f"default-src 'none'; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )
    head = Template(read_asset("head.html")).substitute(title=slots["title"], style=style, policy=policy).strip()
    return Template(read_asset(template)).substitute(
        slots, head=head, wordmark=wordmark, script=script, data=json_block(data)
    )


def _source_hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return value
