"""The rehearsal report: one self-contained HTML file that says what running itself was worth, and shows every decision.

The last step of `modelwright rehearse`. The story is told here, from the figures alone, and as plainly when running itself
lost as when it won; charts, tables and journal are drawn in the reader's browser from the same data. Never computes a metric,
reads a file of the workspace, or refers to anything outside the page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final, Literal

from modelwright.app.assets import assemble, metrics

SCRIPTS: Final = (
    "format.js",
    "tip.js",
    "scale.js",
    "timeline.js",
    "crosshair.js",
    "lanes.js",
    "table.js",
    "findings.js",
    "quality.js",
    "slices.js",
    "heatmap.js",
    "releases.js",
    "alerts.js",
    "lookback.js",
    "journal.js",
    "report.js",
)
LEVEL: Final = 0.0005
"""Metrics closer than this (relative where the metric is an error) count as level: half of the last digit shown."""

POINTS: Final = "\N{NO-BREAK SPACE}points"

Verdict = Literal["ahead", "behind", "level", "unknown"]


@dataclass(frozen=True)
class Story:
    """What happened, in words: a headline, one sentence, and the notes an honest reader would want beside them."""

    verdict: Verdict
    headline: str
    sentence: str
    notes: tuple[str, ...]


def render_report(data: dict[str, Any], faults: str = "") -> str:
    """The report as one HTML file. `faults`: the finished section about the faults that were put in, where some were.

    `data` holds version, system, metric, period, summary, series, decisions, releases, alerts, digest, drift, quality, slices,
    estimates and journal_ok; figures may be None, and no string in it can become markup. Raises KeyError where one of these
    is missing.
    """
    system, summary, metric = data["system"], data["summary"], data["metric"]
    story = tell(data)
    label = metric_label(metric["name"])
    warning = ""
    if not data["journal_ok"]:
        warning = (
            '<p class="notice bad" role="alert"><strong>The journal does not verify.</strong> Its chain of hashes is '
            "broken, so rows were changed or lost after they were written. Do not rely on this report.</p>"
        )
    slots = {
        "title": escape(f"{system['name']}: rehearsal report"),
        "system": " <i>/</i> ".join(
            f"<span>{escape(str(part))}</span>" for part in (system["name"], system["event"], system["label"]) if part
        ),
        "headline": escape(story.headline),
        "story": escape(story.sentence),
        "warning": warning,
        "duel": "".join(_duel(summary, metric)),
        "facts": "".join(_facts(data)),
        "metric_title": escape(label[:1].upper() + label[1:]),
        "direction": "Higher is better" if metric["higher_is_better"] else "Lower is better",
        "chart_caption": " ".join(escape(note) for note in story.notes),
        "faults": faults,
        "drift_note": escape(
            "What the monitor noticed while each release was live, and below it how far each column moved from what the "
            "first release was trained on (population stability index). What matters most to the model comes first."
        ),
        "colophon": "".join(_colophon(data)),
    }
    payload = {"metrics": metrics(), "report": data}
    return assemble("report.html", scripts=SCRIPTS, data=payload, slots=slots, connect="'none'")


def tell(data: Mapping[str, Any]) -> Story:
    """The story of a rehearsal, from its figures."""
    summary, metric, name = data["summary"], data["metric"], data["system"]["name"]
    ours, frozen = summary["self_running"], summary["frozen"]
    verdict = compare(ours, frozen, metric)
    if verdict == "unknown":
        headline = f"Too few outcomes came back, or all of one kind, to say what running itself was worth to {name}."
    elif verdict == "level":
        headline = f"Running itself, {name} did as well as standing still, and no better."
    elif metric["higher_is_better"]:
        headline = f"Running itself, {name} ended {gap(ours, frozen, metric)} {verdict} {_of(verdict)}standing still."
    else:
        side = "lower" if verdict == "ahead" else "higher"
        headline = (
            f"Running itself, {name} ended with {gap(ours, frozen, metric)} {side} {metric_label(metric['name'])} than "
            "standing still."
        )
    return Story(verdict, headline, _sentence(data, verdict), tuple(_notes(data, verdict)))


def compare(ours: float | None, other: float | None, metric: Mapping[str, Any]) -> Verdict:
    """Which of two values of a metric is better for us; level where the difference would not show in print."""
    if ours is None or other is None:
        return "unknown"
    lead = ours - other if metric["higher_is_better"] else other - ours
    span = 1.0 if metric["higher_is_better"] else abs(other)
    if abs(lead) < LEVEL * span or lead == 0:
        return "level"
    return "ahead" if lead > 0 else "behind"


def gap(ours: float, other: float, metric: Mapping[str, Any]) -> str:
    """The distance between two values, without its sign: points of a share, per cent of an error, else the plain difference.

    >>> gap(0.8992, 0.8466, {"name": "accuracy", "higher_is_better": True})
    '5.3\xa0points'
    >>> gap(900.0, 1200.0, {"name": "mae", "higher_is_better": False})
    '25.0%'
    """
    distance = abs(ours - other)
    if not metric["higher_is_better"]:
        return f"{100 * distance / abs(other):.1f}%" if other else figure(distance, metric["name"])
    if _is_share(metric["name"]):
        return f"{100 * distance:.1f}{POINTS}"
    return figure(distance, metric["name"])


def figure(value: float | None, metric_name: str) -> str:
    """A value of a metric for people: shares in per cent, the rest to about four digits, a dash for none.

    >>> figure(0.8992, "accuracy"), figure(1234.56, "mae"), figure(0.71234, "roc_auc"), figure(None, "mae")
    ('89.9%', '1,234.6', '0.712', '–')
    """
    if value is None:
        return "–"
    if _is_share(metric_name):
        return f"{100 * value:.1f}%"
    size = abs(value)
    if 0 < size < 0.01:
        return f"{value:.3g}"
    return f"{value:,.0f}" if size >= 100_000 else f"{value:,.1f}" if size >= 100 else f"{value:,.3f}"


def metric_label(name: str) -> str:
    """A metric's name for people.

    >>> metric_label("mae"), metric_label("my_metric")
    ('mean absolute error', 'my metric')
    """
    known = metrics().get(name)
    return str(known["label"]) if known else name.replace("_", " ")


def _is_share(name: str) -> bool:
    return bool(metrics().get(name, {}).get("share"))


def _of(verdict: Verdict) -> str:
    return "of " if verdict == "ahead" else ""


def _sentence(data: Mapping[str, Any], verdict: Verdict) -> str:
    summary, metric = data["summary"], data["metric"]
    ours, frozen = summary["self_running"], summary["frozen"]
    trained = summary["trainings"]
    kept = summary["promotions"]
    work = f"trained {_count(trained, 'model')} and promoted {_few(kept, trained)}" if trained else "trained no model"
    told = f"Over {_span(data['period'])} it answered {_count(summary['predictions'], 'request')}, {work}"
    if verdict == "unknown":
        return f"{told}."
    if metric["name"] == "accuracy":
        scored = sum(number for number in data["series"]["n"] if number) or summary["predictions"]
        mistakes = _rounded(abs(ours - frozen) * scored)
        if verdict == "ahead":
            return f"{told}; the first model, left alone, would have been wrong about {mistakes} more times."
        if verdict == "behind":
            return f"{told}; the first model, left alone, would have been wrong about {mistakes} fewer times."
    return f"{told}; the first model, left alone, would have reached {figure(frozen, metric['name'])}."


def _notes(data: Mapping[str, Any], verdict: Verdict) -> Iterator[str]:
    summary, metric, series = data["summary"], data["metric"], data["series"]
    ours, frozen, baseline = summary["self_running"], summary["frozen"], summary["baseline"]
    if summary["known"] < summary["predictions"]:
        yield (
            f"For {_count(summary['predictions'] - summary['known'], 'prediction')} there is no truth yet, or never: the "
            f"figures are over the other {summary['known']:,}. The outcome is {data['system']['outcome']}."
        )
    if verdict == "behind":
        yield "Retraining did not pay on this history."
    if not summary["promotions"]:
        yield "No candidate was promoted: the first release served all the way."
    pairs = [
        (one, other) for one, other in zip(series["self_running"], series["frozen"], strict=True)
        if one is not None and other is not None
    ]  # fmt: skip
    if len(pairs) > 1:
        better = sum((one > other) == metric["higher_is_better"] and one != other for one, other in pairs)
        yield f"Self-running was ahead in {better} of {len(pairs)} equal stretches of the period."
    if baseline is not None:
        shown = figure(baseline, metric["name"])
        if compare(ours, baseline, metric) == "behind":
            yield f"It did not beat the baseline, which needs no model and reached {shown}."
        elif compare(frozen, baseline, metric) == "behind":
            yield f"The frozen model would have fallen behind the baseline, which needs no model and reached {shown}."
        else:
            yield f"The baseline, which needs no model, reached {shown}."
    if data["estimates"]:
        yield _estimated(data["estimates"])
    if summary["rollbacks"]:
        yield f"{_count(summary['rollbacks'], 'release')} failed live and went back to the one before."


def _estimated(estimates: list[dict[str, Any]]) -> str:
    """Estimated so, turned out so, over all periods that have an estimate."""
    rows = sum(one["rows"] for one in estimates)
    said, truth = (sum(one[name] * one["rows"] for one in estimates) / rows for name in ("value", "truth"))
    held = sum(one["low"] <= one["truth"] <= one["high"] for one in estimates)
    return (
        f"Before the outcomes came, accuracy was estimated at {figure(said, 'accuracy')}; it turned out "
        f"{figure(truth, 'accuracy')}, within the interval in {held} of {len(estimates)} periods."
    )


def _duel(summary: Mapping[str, Any], metric: Mapping[str, Any]) -> Iterator[str]:
    ours, frozen = summary["self_running"], summary["frozen"]
    verdict = compare(ours, frozen, metric)
    yield _contestant("self", "Self-running", "retrained, tested and replaced by itself", figure(ours, metric["name"]))
    yield _contestant("frozen", "Frozen", "the first model, never touched again", figure(frozen, metric["name"]))
    if verdict not in ("unknown", "level"):
        sign = "+" if ours > frozen else "−"
        yield _contestant(
            f"gap {verdict}", "Difference", "self-running against frozen", sign + gap(ours, frozen, metric)
        )
    if summary["baseline"] is not None:
        shown = figure(summary["baseline"], metric["name"])
        yield _contestant("baseline", "Baseline", "no model at all", shown)


def _contestant(kind: str, title: str, note: str, shown: str) -> str:
    kind += " none" if shown == "–" else ""
    number, unit = (shown[:-1], "%") if shown.endswith("%") else (shown.removesuffix(POINTS), "")
    unit = " pts" if shown.endswith(POINTS) else unit
    return (
        f'<figure class="contestant {kind}"><figcaption><i></i>{title}</figcaption>'
        f'<p class="number">{number}<small>{unit}</small></p><p class="note">{note}</p></figure>'
    )


def _facts(data: Mapping[str, Any]) -> Iterator[str]:
    summary, system = data["summary"], data["system"]
    yield _fact("Predictions", f"{summary['predictions']:,}")
    yield _fact("Trainings", f"{summary['trainings']:,}")
    yield _fact("Promotions", f"{summary['promotions']:,}")
    yield _fact("Rejections", f"{summary['rejections']:,}")
    yield _fact("Rollbacks", f"{summary['rollbacks']:,}")
    yield _fact("History", f"{system['rows']:,}", "rows")
    yield _fact("Rehearsed in", _seconds(summary["seconds"]))


def _fact(term: str, value: str, unit: str = "") -> str:
    small = f" <small>{escape(unit)}</small>" if unit else ""
    return f"<div><dt>{term}</dt><dd>{escape(value)}{small}</dd></div>"


def _colophon(data: Mapping[str, Any]) -> Iterator[str]:
    system, summary = data["system"], data["summary"]
    yield "<div><h2>What “frozen” means</h2><p>The first model that was trained, served over the same requests to the "
    yield "end and never retrained: what a model is worth when it is deployed and left. Self-running is the whole system on "
    yield "the same requests in the same order, at each moment knowing only what was known then.</p></div>"
    yield "<div><h2>The system</h2><p>"
    if system["description"]:
        yield f"{escape(str(system['description']))} "
    yield f"Predicts <b>{escape(str(system['label']))}</b> of each <b>{escape(str(system['event']))}</b> with "
    yield f"<code>{escape(str(system['model']))}</code>. The outcome is {escape(str(system['outcome']))}. "
    yield f"History from {_day(system['history_from'])} to "
    yield f"{_day(system['history_to'])}; scored from {_day(data['period']['from'])} to {_day(data['period']['to'])}.</p></div>"
    yield "<div><h2>Reproduce it</h2><p>On the same machine and history the same journal comes out, to the last bit:</p>"
    yield "<pre><code>modelwright rehearse system.py</code></pre>"
    state = "verified" if data["journal_ok"] else "broken"
    yield f'<p class="hash">journal sha256 <span class="{state}">{state}</span><br>'
    yield f"<code>{escape(str(summary['journal_sha256'] or '–'))}</code></p></div>"
    yield f'<p class="version">modelwright {escape(str(data["version"]))}. Times are UTC.</p>'


def _moment(value: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if value else None
    except ValueError:
        return None


def _day(value: str | None) -> str:
    moment = _moment(value)
    return f"{moment.day} {moment:%B %Y}" if moment else "–"


def _span(period: Mapping[str, Any]) -> str:
    start, end = _moment(period["from"]), _moment(period["to"])
    if start is None or end is None:
        return "its history"
    hours = (end - start).total_seconds() / 3600
    return _count(round(hours / 24), "day") if hours >= 48 else _count(round(hours), "hour")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _few(number: int, of: int) -> str:
    if number == 0:
        return "none"
    return "it" if number == of == 1 else f"{number:,} of them"


def _rounded(number: float) -> str:
    """Three digits are all that rounded metrics can tell of a number of mistakes."""
    step = 10 ** max(0, len(str(round(number))) - 3)
    return f"{round(number / step) * step:,}"
