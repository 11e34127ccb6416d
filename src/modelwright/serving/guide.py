"""/docs: how to call this system, as one page made from its contract. No script, nothing from elsewhere."""

from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec

from modelwright.serving.plane import Plane
from modelwright.spec.contract import Contract, Field

_STYLE = """
:root{color-scheme:light dark;--ink:#16161d;--dim:#6b6b76;--line:#e4e4e0;--paper:#fcfcfa;--tint:#0f766e}
@media(prefers-color-scheme:dark){:root{--ink:#ececf1;--dim:#9a9aa6;--line:#2d2d33;--paper:#131316;--tint:#5eead4}}
body{margin:0 auto;max-width:52rem;padding:3rem 1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.6 system-ui,sans-serif}h1{font-size:2rem;margin:0}h2{font-size:1.1rem;margin:2.5rem 0 .5rem}
p{color:var(--dim);margin:.25rem 0}code,pre{font:14px/1.5 ui-monospace,monospace}a{color:var(--tint)}
pre{border:1px solid var(--line);border-radius:8px;padding:1rem;overflow-x:auto}b{color:var(--tint)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem 1rem .4rem 0;border-bottom:1px solid var(--line)}
th{color:var(--dim);font-weight:500}
"""
_EXAMPLE: dict[str, Any] = {"float": 12.5, "int": 3, "bool": True, "str": "text", "time": "2026-01-31T12:00:00Z"}


def guide(
    name: str,
    plane: Plane,
    paths: Mapping[str, Any],
) -> bytes:
    """The page as UTF-8. `paths` are the routes as OpenAPI has them."""
    contract, label, others = plane.contract, plane.label, plane.others
    logged, told = plane.events() is not None, label.ahead is None
    history = "".join(
        f'{_members(other)}<p>{escape(other.description)}</p><pre>curl -X POST "$URL/events/{escape(other.name)}" '
        f"-d '{_body(other)}'</pre>"
        for other in others
    )
    routes = "".join(
        f"<tr><td><code>{escape(method.upper())} {escape(path)}</code></td><td>{escape(what['summary'])}</td></tr>"
        for path, methods in paths.items()
        for method, what in methods.items()
    )
    title = escape(name)
    command = escape("""curl -X POST "$URL/outcomes" -d '{"id":"the event\'s id","outcome":...}'""")
    outcome = f"<pre>{command}</pre>" if told else f"<p>Nobody has to: it is {escape(label.described)}.</p>"
    told_here = f"<h2>Tell what became of it</h2>{outcome}\n{history}" if logged else ""
    page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: API</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>{title}</h1><p>{escape(contract.description)}</p>
<h2>Routes</h2><table>{routes}</table>
<p>Bodies are one object or a list. Errors are problem JSON (RFC 9457) naming the field. The whole description is
<a href="openapi.json">openapi.json</a>; the console is <a href="./">here</a>.</p>
{_members(contract)}
<h2>Predict</h2><pre>curl -X POST "$URL/predict" -d '{_body(contract)}'</pre>
{told_here}
</body></html>"""
    return page.encode()


def _members(contract: Contract) -> str:
    rows = "".join(_row(field) for field in contract.fields)
    return (
        f"<h2>{escape(contract.name)}</h2><table><tr><th>member</th><th>kind</th><th>required</th><th>limits</th></tr>"
        f"{rows}</table>"
    )


def _body(contract: Contract) -> str:
    event = msgspec.json.encode({field.name: _example(field) for field in contract.fields}).decode()
    return escape(event, quote=False)


def _row(field: Field) -> str:
    limits = [f"{sign} {value:g}" for sign, value in _bounds(field) if value is not None]
    limits += [", ".join(field.choices)] if field.choices else []
    limits += [f"form {field.pattern}"] if field.pattern else []
    kind = f"{field.kind}{' or null' if field.nullable else ''}"
    required = "no" if field.has_default else "yes"
    return (
        f"<tr><td><code>{escape(field.name)}</code></td><td>{kind}</td><td>{required}</td>"
        f"<td>{escape('; '.join(limits))}</td></tr>"
    )


def _bounds(field: Field) -> list[tuple[str, float | None]]:
    return [(">", field.gt), ("≥", field.ge), ("<", field.lt), ("≤", field.le)]


def _example(field: Field) -> Any:
    return field.choices[0] if field.choices else _EXAMPLE[field.kind]
