"""/metrics in Prometheus' text form."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from modelwright.serving.batching import Closed
from modelwright.serving.plane import Plane

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the latency histogram, in seconds."""
STAGE_BUCKETS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, *BUCKETS)
"""Of the stages': parts of a request are shorter."""


class Histogram:
    """Seconds by one label, counted into buckets."""

    def __init__(self, name: str, help: str, label: str, bounds: tuple[float, ...]) -> None:
        self._name = f"modelwright_{name}"
        self._help = help
        self._label = label
        self._bounds = bounds
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, value: str, seconds: float, count: int = 1) -> None:
        """So many requests that took so long, each of them."""
        self._counts_of(value)[bisect_left(self._bounds, seconds)] += count
        self._sums[value] += seconds * count

    def observe_each(self, value: str, seconds: Sequence[float]) -> None:
        """Requests that took so long, one each."""
        counts, bounds = self._counts_of(value), self._bounds
        for one in seconds:
            counts[bisect_left(bounds, one)] += 1
        self._sums[value] += sum(seconds)

    def _counts_of(self, value: str) -> list[int]:
        counts = self._counts.get(value)
        if counts is None:
            counts = self._counts[value] = [0] * (len(self._bounds) + 1)
            self._sums[value] = 0.0
        return counts

    def lines(self) -> list[str]:
        """Cumulative buckets, sum and count of every value of the label."""
        name, label = self._name, self._label
        lines = [f"# HELP {name} {self._help}", f"# TYPE {name} histogram"]
        for value, counts in sorted(self._counts.items()):
            total = 0
            for bound, count in zip((*map(_decimal, self._bounds), "+Inf"), counts, strict=True):
                total += count
                lines.append(f'{name}_bucket{{{label}="{value}",le="{bound}"}} {total}')
            lines += [
                f'{name}_sum{{{label}="{value}"}} {self._sums[value]:.6f}',
                f'{name}_count{{{label}="{value}"}} {total}',
            ]
        return lines


def _decimal(bound: float) -> str:
    """A bound as people write it, and always the same.

    >>> _decimal(0.00001), _decimal(0.025), _decimal(1.0)
    ('0.00001', '0.025', '1.0')
    """
    return f"{bound:.6f}".rstrip("0") if bound < 1 else str(bound)


def request_seconds() -> Histogram:
    """By route."""
    return Histogram("request_seconds", "Time from a request's last byte to its answer.", "route", BUCKETS)


def stage_seconds() -> Histogram:
    """By stage, as `serving/stages.py` names them."""
    help = "Time of a request's stages; those of a batch count for each of its requests."
    return Histogram("stage_seconds", help, "stage", STAGE_BUCKETS)


def exposition(
    plane: Plane,
    histograms: Sequence[Histogram],
    responses: dict[tuple[str, int], int],
    refused: dict[str, int],
    waiting: int,
    batches: Mapping[Closed, int],
) -> str:
    """All metrics of one worker."""
    counters = plane.counters
    lines: list[str] = []

    def family(name: str, help: str, values: dict[str, float], label: str = "", kind: str = "counter") -> None:
        lines.extend([f"# HELP modelwright_{name} {help}", f"# TYPE modelwright_{name} {kind}"])
        for key, value in values.items():
            labels = f'{{{label}="{key}"}}' if label else ""
            lines.append(f"modelwright_{name}{labels} {value}")

    family("predictions_total", "Predictions answered, by release.", dict(counters.predictions), "release")
    family("events_total", "Events taken without a prediction.", {"": counters.events})
    family("late_total", "Events taken that came too late to be history.", {"": counters.late})
    family("outcomes_total", "Outcomes taken.", {"": counters.outcomes})
    family("repeats_total", "Requests whose id was known with the same body.", {"": counters.repeats})
    family("failures_total", "Requests a release could not answer.", dict(counters.failures), "release")
    family("unseen_total", "Texts outside a column's vocabulary.", dict(counters.unseen), "column")
    family(
        "shadow_predictions_total", "Requests scored beside the answer, usually by a challenger.", {"": counters.shadow}
    )
    family("shadow_dropped_total", "Pairs dropped because the challenger was behind.", {"": counters.shadow_dropped})
    if counters.stream_connected:
        of = "operation"
        family("stream_received_total", "Messages received.", dict(counters.stream_received), of)
        family("stream_redelivered_total", "Of these, delivered before.", dict(counters.stream_redelivered), of)
        family("stream_answered_total", "Messages committed and acknowledged.", dict(counters.stream_answered), of)
        family("stream_rejected_total", "Messages rejected with a reason.", dict(counters.stream_rejected), of)
        family("stream_in_flight", "Messages received, not settled yet.", dict(counters.stream_in_flight), of, "gauge")
        family("stream_connected", "Whether the broker is there.", dict(counters.stream_connected), of, "gauge")
    family("commits_total", "Group commits of the log.", {"": counters.commits})
    family("refused_total", "Requests refused before they were read, by reason.", dict(refused), "reason")
    family(
        "batches_total",
        "Batches worked off, by why they were closed.",
        {str(why): count for why, count in batches.items()},
        "closed",
    )
    family("waiting", "Requests taken and not yet answered.", {"": waiting}, kind="gauge")
    live = {"champion": plane.champion, "previous": plane.previous, "challenger": plane.challenger}
    lines.extend(["# HELP modelwright_release_info Releases that are loaded.", "# TYPE modelwright_release_info gauge"])
    lines += [f'modelwright_release_info{{role="{role}",release="{one.name}"}} 1' for role, one in live.items() if one]
    family("canary_share", "Of the requests, those that the challenger answers.", {"": plane.share}, kind="gauge")
    head = plane.head()
    if head is not None:
        family("log_head", "Sequence number of the log's last row.", {"": head}, kind="gauge")
    lines.extend(
        [
            "# HELP modelwright_responses_total Answers by route and status.",
            "# TYPE modelwright_responses_total counter",
        ]
    )
    lines += [
        f'modelwright_responses_total{{route="{route}",status="{status}"}} {n}'
        for (route, status), n in sorted(responses.items())
    ]
    return "\n".join([*lines, *(line for one in histograms for line in one.lines())]) + "\n"
