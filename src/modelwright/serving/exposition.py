"""/metrics in Prometheus' text form."""

from modelwright.serving.plane import Plane

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the latency histogram, in seconds."""


class Latency:
    """A histogram of seconds by route."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, route: str, seconds: float) -> None:
        """One answered request."""
        counts = self._counts.setdefault(route, [0] * (len(BUCKETS) + 1))
        for place, bound in enumerate(BUCKETS):
            if seconds <= bound:
                counts[place] += 1
                break
        else:
            counts[-1] += 1
        self._sums[route] = self._sums.get(route, 0.0) + seconds

    def lines(self) -> list[str]:
        """Cumulative buckets, sum and count of every route."""
        name = "modelwright_request_seconds"
        lines = [f"# HELP {name} Time from a request's last byte to its answer.", f"# TYPE {name} histogram"]
        for route, counts in sorted(self._counts.items()):
            total = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                lines.append(f'{name}_bucket{{route="{route}",le="{bound}"}} {total}')
            lines += [
                f'{name}_sum{{route="{route}"}} {self._sums[route]:.6f}',
                f'{name}_count{{route="{route}"}} {total}',
            ]
        return lines


def exposition(
    plane: Plane, latency: Latency, responses: dict[tuple[str, int], int], refused: dict[str, int], waiting: int
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
    family("shadow_predictions_total", "Requests scored by a challenger.", {"": counters.shadow})
    family("shadow_dropped_total", "Pairs dropped because the challenger was behind.", {"": counters.shadow_dropped})
    family("commits_total", "Group commits of the log.", {"": counters.commits})
    family("refused_total", "Requests refused before they were read, by reason.", dict(refused), "reason")
    family("waiting", "Requests taken and not yet answered.", {"": waiting}, kind="gauge")
    live = {"champion": plane.champion, "previous": plane.previous, "challenger": plane.challenger}
    lines.extend(["# HELP modelwright_release_info Releases that are loaded.", "# TYPE modelwright_release_info gauge"])
    lines += [f'modelwright_release_info{{role="{role}",release="{one.name}"}} 1' for role, one in live.items() if one]
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
    return "\n".join([*lines, *latency.lines()]) + "\n"
