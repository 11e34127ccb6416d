"""The faults of a rehearsal as a section of its report: what noticed each, what was done, and quality beside the clean run.

Drawn here from the effects alone, so that it stands on paper too. Never computes a metric, and calls nothing noticed that
was not.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

from modelwright.app.report import figure, metric_label
from modelwright.core.durations import about

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 10, 50, 26
GAP = 70
"""Two marks nearer than this have their names on two lines."""
SAYS = {
    "contract": "the contract refuses its rows",
    "alert": "an alert",
    "trigger": "the metric decays",
    "error": "a training failed",
    "rejected": "the comparison on live outcomes",
    "rolled_back": "a release fails",
}
DID = {
    "trigger": "asked for a training",
    "trained": "trained",
    "promoted": "promoted",
    "rejected": "rejected",
    "rolled_back": "rolled back",
}


def faults_section(faults: Sequence[Mapping[str, Any]], metric: Mapping[str, Any]) -> str:
    """The section as HTML; nothing where no fault was put in. `faults` are `Effect`s as plain data."""
    if not faults:
        return ""
    struck = [one for one in faults if one["took_place"]]
    noticed = sum(one["noticed"] is not None for one in struck)
    said = f"{noticed} of {len(struck)} noticed." if len(struck) > 1 else ""
    cards = "".join(_card(one, metric) for one in faults)
    return (
        '<section id="faults" aria-labelledby="faults-title"><div class="section-head">'
        '<h2 id="faults-title">Faults put in</h2><p>'
        f"{said} Each had a rehearsal of its own, equal to the clean one above until it struck. What the clean one decided as "
        "well is not counted as noticing; quality is held against the true outcomes, also where the fault kept them back.</p>"
        f"</div>{cards}</section>"
    )


def _card(one: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    kind, word = _verdict(one)
    head = (
        f'<header><span class="pill {kind}">{word}</span><h3>{escape(_sentence(one["meaning"]))}</h3>'
        f"<code>--inject {escape(one['fault'])}</code></header>"
    )
    if not one["took_place"]:
        nothing = "Nothing of the kind happened in the replay from there on, so there is nothing to tell."
        return f'<article class="fault">{head}<p class="empty">{nothing}</p></article>'
    steps = "".join(
        f'<li class="{step.mark}">{f"<time>{_minute(step.at)}</time>" if step.at else ""}'
        f"<p>{escape(step.what)}{_small(step.more)}</p></li>"
        for step in _steps(one)
    )
    return (
        f'<article class="fault">{head}<div class="fault-body"><ol class="steps">{steps}</ol>'
        f'<figure>{"".join(_chart(one, metric))}<table class="beside">{"".join(_beside(one, metric))}</table></figure>'
        "</div></article>"
    )


def _verdict(one: Mapping[str, Any]) -> tuple[str, str]:
    if not one["took_place"]:
        return "", "did not happen"
    if one["noticed"] is None:
        return "rolled_back", "not noticed"
    return "promoted", "noticed"


class _Step(NamedTuple):
    """`mark`: how it is drawn; `at`: when, or None for what has no moment of its own; `more`: in small."""

    mark: str
    at: str | None
    what: str
    more: str = ""


def _steps(one: Mapping[str, Any]) -> list[_Step]:
    """From the beginning to the end of it, in order of time; what has no time stands last."""
    noticed = one["noticed"]
    steps = [_Step("began", one["began"], "It began", _extent(one))]
    if noticed is not None:
        steps.append(_Step("noticed", noticed["at"], _noticed(noticed), noticed["summary"]))
        steps += _deeds(one["done"], noticed["summary"])
    if one["ended"]:
        steps.append(_Step("ended", one["ended"], "It was over"))
    if one["back"]:
        steps.append(_Step("back", one["back"], "Quality was back, within the margin, to the clean rehearsal's"))
    steps.sort(key=lambda step: _seconds(step.at or ""))
    if noticed is None:
        steps.append(
            _Step("never", None, "Nothing noticed it", "No decision about it differs from the clean rehearsal's")
        )
    elif not one["done"]:
        steps.append(_Step("never", None, "Nothing was done about it"))
    if not one["harm"]:
        steps.append(_Step("fine", None, "Answers were no worse for it, beyond the margin and chance"))
    elif not one["back"]:
        steps.append(_Step("never", None, "Quality was not back by the end"))
    return steps


def _extent(one: Mapping[str, Any]) -> str:
    """How many rows it changed, and how many of them nobody was answered for."""
    changed, refused = one["changed"], one["refused"]
    rows = f"{changed:,} {'row' if changed == 1 else 'rows'}"
    if not changed:
        return ""
    return (
        f"{rows} changed"
        if not refused
        else f"{rows} changed, {refused:,} of them refused: nobody was answered for those"
    )


def _noticed(noticed: Mapping[str, Any]) -> str:
    by = SAYS.get(noticed["by"], noticed["by"])
    events = f"{noticed['events']:,} {'event' if noticed['events'] == 1 else 'events'}"
    after = "at once" if noticed["lasted_us"] <= 0 else f"after {events}, {about(noticed['lasted_us'])}"
    return f"Noticed {after}: {by}"


def _deeds(done: Sequence[Mapping[str, Any]], told: str) -> Iterator[_Step]:
    """A training with why it was asked for and what became of it then and there as one step; all else a step each."""
    for at, rows in groupby(done, key=lambda deed: str(deed["at"])):
        deeds = list(rows)
        named = next((deed["release"] for deed in deeds if deed["release"]), None)
        release = f"{named.partition('-')[0]} " if named else ""
        said = " and ".join(DID[deed["kind"]] for deed in deeds if deed["kind"] != "trigger" or len(deeds) == 1)
        more = "; ".join(str(deed["summary"]) for deed in deeds if deed["summary"] != told)
        yield _Step("done", at, f"{release}{said}" if release else _sentence(said), more)


def _beside(one: Mapping[str, Any], metric: Mapping[str, Any]) -> Iterator[str]:
    """The metric with the fault and without, before it, while it did harm, and after."""
    over = "while it did harm" if one["harm"] else "while it lasted"
    parts = [(name, one[part]) for name, part in (("before", "before"), (over, "during"), ("after", "after"))]
    parts = [(name, part) for name, part in parts if part["clean"] is not None or part["faulty"] is not None]
    heads = "".join(f'<th scope="col" class="number">{escape(name)}</th>' for name, _ in parts)
    yield f'<thead><tr><th scope="col">{escape(_sentence(metric_label(metric["name"])))}</th>{heads}</tr></thead><tbody>'
    for kind, name in (("faulty", "with the fault"), ("clean", "without")):
        cells = "".join(f'<td class="number">{escape(figure(part[kind], metric["name"]))}</td>' for _, part in parts)
        yield f'<tr class="{kind}"><th scope="row"><i></i>{name}</th>{cells}</tr>'
    yield "</tbody>"


def _chart(one: Mapping[str, Any], metric: Mapping[str, Any]) -> Iterator[str]:
    """Both lines over time, the fault's stretch shaded, and when it began, was noticed, and was over for users."""
    periods = one["periods"]
    values = [value for part in periods for value in (part["faulty"], part["clean"]) if value is not None]
    label = f"{metric_label(metric['name'])} over time, with the fault and without"
    yield f'<svg class="timeline" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
    if not values:
        yield f'<g class="axis"><text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no outcome is known</text></g></svg>'
        return
    room = (max(values) - min(values)) * 0.08 or abs(max(values)) * 0.05 or 0.05
    low, high = float(min(values) - room), float(max(values) + room)
    at = [_seconds(part["at"]) for part in periods]
    last = at[-1] + (at[-1] - at[0]) / max(1, len(at) - 1) if len(at) > 1 else at[0] + 1

    def x(seconds: float) -> float:
        share = (seconds - at[0]) / (last - at[0])
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, share))

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    began, ended = x(_seconds(one["began"])), x(_seconds(one["ended"])) if one["ended"] else WIDTH - RIGHT
    width, height = max(2.0, ended - began), HEIGHT - TOP - BOTTOM
    yield f'<rect class="stretch" x="{began:.1f}" y="{TOP}" width="{width:.1f}" height="{height}"/>'
    yield '<g class="axis">'
    for share in (0.1, 0.5, 0.9):
        value = low + (high - low) * share
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{escape(figure(value, metric["name"]))}</text>'
    for seconds, anchor in ((at[0], "start"), ((at[0] + last) / 2, "middle"), (last, "end")):
        day = datetime.fromtimestamp(seconds, _moment(one["began"]).tzinfo)
        yield f'<text x="{x(seconds):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{day.day} {day:%b %Y}</text>'
    yield "</g>"
    for kind in ("clean", "faulty"):
        path, drawn = "", False
        for begin, end, part in zip(at, [*at[1:], last], periods, strict=True):
            value = part[kind]
            path += "" if value is None else f"{'L' if drawn else 'M'}{x((begin + end) / 2):.1f} {y(value):.1f}"
            drawn = value is not None
        yield f'<path class="line {kind}" d="{path}"/>'
    marks = [("began", "began", began)]
    if one["noticed"] is not None:
        marks.append(("noticed", "noticed", x(_seconds(one["noticed"]["at"]))))
    if one["back"]:
        marks.append(("back", "quality back", x(_seconds(one["back"]))))
    line = 0  # names of marks beside each other stand above each other
    for place, (kind, name, where) in enumerate(marks):
        line = line + 1 if place and abs(where - marks[place - 1][2]) < GAP else 0
        yield f'<g class="flag {kind}"><line x1="{where:.1f}" x2="{where:.1f}" y1="{TOP - 4}" y2="{HEIGHT - BOTTOM}"/>'
        anchor = "end" if where > WIDTH - GAP else "start"
        yield f'<text x="{where:.1f}" y="{TOP - 9 - 14 * line}" text-anchor="{anchor}">{name}</text></g>'
    yield "</svg>"


def _small(text: str) -> str:
    return f"<small>{escape(_sentence(text))}</small>" if text else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _moment(at: str) -> datetime:
    return datetime.fromisoformat(at)


def _seconds(at: str) -> float:
    return _moment(at).timestamp()


def _minute(at: str) -> str:
    moment = _moment(at)
    return f"{moment.day} {moment:%b %Y, %H:%M}"
