"""The page of a comparison of policies: quality against cost, drawn, and every policy with its figures.

The last step of `rehearse --compare`, and a sibling of `report`: one self-contained file, drawn here from the figures alone.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import modelwright
from modelwright.app.assets import assemble
from modelwright.app.report import figure, gap, metric_label

WIDTH, HEIGHT = 1120, 460
LEFT, RIGHT, TOP, BOTTOM = 76, 200, 24, 56
TICKS = 5
DOT = 8
LETTER, LINE = 7.5, 17
"""About how wide a letter of a label is, and how far apart two labels stand."""


def render_comparison(data: Mapping[str, Any], system: str) -> str:
    """The page as HTML; `data` is a `Comparison`."""
    metric = {"name": data["metric"], "higher_is_better": data["higher_is_better"]}
    label = metric_label(data["metric"])
    direction = "higher is better" if data["higher_is_better"] else "lower is better"
    slots = {
        "title": escape(f"{system}: policies compared"),
        "system": f"<span>{escape(system)}</span>",
        "headline": escape(_headline(data)),
        "story": escape(_sentence(data, metric)),
        "axis": escape(
            f"{label[:1].upper() + label[1:]} ({direction}) against the processor time spent on trainings, in seconds."
        ),
        "plot": "".join(_plot(data)),
        "rows": "".join(_row(one, data) for one in _ordered(data)),
        "metric": escape(label),
        "version": escape(modelwright.__version__),
    }
    return assemble("policies.html", scripts=(), data={}, slots=slots, connect="'none'")


def _ordered(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The best first, those without a figure last."""
    sign = -1 if data["higher_is_better"] else 1
    return sorted(data["policies"], key=lambda one: (one["value"] is None, sign * (one["value"] or 0.0)))


def _headline(data: Mapping[str, Any]) -> str:
    if data["recommended"] is None:
        return "Too few outcomes came back to compare policies."
    if data["recommended"] == data["best"]:
        return f"“{data['best']}” is the best, and nothing as good costs less."
    return f"“{data['recommended']}” is as good as the best, for less."


def _sentence(data: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    said = f"{len(data['policies'])} policies answered the same {data['predictions']:,} requests from {data['begins'][:10]} on"
    if data["recommended"] is None:
        return f"{said}."
    by_name = {one["policy"]: one for one in data["policies"]}
    best, recommended = by_name[data["best"]], by_name[data["recommended"]]
    if best is recommended:
        return f"{said}. It reached {figure(best['value'], metric['name'])} with {_trainings(best)}."
    return (
        f"{said}. “{data['best']}” did best, {figure(best['value'], metric['name'])} with {_trainings(best)}; "
        f"“{data['recommended']}” is {gap(recommended['value'], best['value'], metric)} from that with "
        f"{_trainings(recommended)}. Less than half a point (half a per cent of an error) counts as no difference."
    )


def _trainings(one: Mapping[str, Any]) -> str:
    count = one["trainings"]
    return f"{count:,} training{'' if count == 1 else 's'} in {one['seconds']:.1f} s of processor time"


def _plot(data: Mapping[str, Any]) -> Iterator[str]:
    """A point for each policy: what it cost to the right, how good it was upwards, whichever way the metric counts."""
    known = [one for one in data["policies"] if one["value"] is not None]
    if not known:
        return
    values, costs = [one["value"] for one in known], [one["seconds"] for one in known]
    low, high = min(values), max(values)
    # A difference below what figures show is not stretched over the whole height.
    room = max((high - low) * 0.15, abs(high) * 0.005) or 0.01
    low, high, most = low - room, high + room, max(costs) * 1.05 or 1.0
    up, digits = data["higher_is_better"], 0 if most >= 10 else 1 if most >= 1 else 2

    def x(cost: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * cost / most

    def y(value: float) -> float:
        share = (value - low) / (high - low)
        return TOP + (HEIGHT - TOP - BOTTOM) * float((1 - share) if up else share)

    yield f'<svg class="timeline scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Quality against cost">'
    yield '<g class="axis">'
    for place in range(TICKS):
        value, cost = low + (high - low) * place / (TICKS - 1), most * place / (TICKS - 1)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        yield f'<text x="{LEFT - 12}" y="{y(value) + 4:.1f}" text-anchor="end">{escape(figure(value, data["metric"]))}</text>'
        yield f'<text x="{x(cost):.1f}" y="{HEIGHT - BOTTOM + 24}" text-anchor="middle">{cost:,.{digits}f} s</text>'
    yield "</g>"
    # Where a label would cover another, or a dot: from, to, at which height.
    taken = [(x(one["seconds"]) - DOT, x(one["seconds"]) + DOT, y(one["value"]) + 4) for one in known]
    for one in sorted(known, key=lambda one: y(one["value"])):
        kind = "self_running" if one["policy"] == data["recommended"] else ""
        at_x, at_y = x(one["seconds"]), y(one["value"])
        label_y, begin = at_y + 4, at_x + 14
        end = begin + LETTER * len(one["policy"])
        while any(abs(label_y - other) < LINE and begin < right and left < end for left, right, other in taken):
            label_y += LINE
        taken.append((begin, end, label_y))
        yield f'<circle class="dot {kind}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="{DOT if kind else DOT - 2}"/>'
        yield f'<text class="end {kind}" x="{begin:.1f}" y="{label_y:.1f}">{escape(one["policy"])}</text>'
    yield "</svg>"


def _row(one: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    pills = ""
    if one["policy"] == data["recommended"]:
        pills += '<span class="pill champion">recommended</span> '
    if one["policy"] == data["best"] and one["policy"] != data["recommended"]:
        pills += '<span class="pill promoted">best</span> '
    cells = [
        (figure(one["value"], data["metric"]), "number"), (f"{one['trainings']:,}", "number"),
        (f"{one['promotions']:,}", "number"), (f"{one['rejections']:,}", "number"), (f"{one['rollbacks']:,}", "number"),
        (f"{one['seconds']:,.1f} s", "number"),
    ]  # fmt: skip
    drawn = "".join(f'<td class="{kind}">{escape(text)}</td>' for text, kind in cells)
    return f'<tr><th scope="row"><strong>{escape(one["policy"])}</strong></th>{drawn}<td>{pills}</td></tr>'
