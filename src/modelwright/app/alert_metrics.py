"""The receivers of alerts in /metrics: whether people can be reached is itself worth an alert, from somewhere else."""

from collections.abc import Sequence

from modelwright.control.receiver import Receiver


def alert_metrics(known: Sequence[Receiver]) -> str:
    """The receivers in Prometheus' text form; nothing where there are none."""
    lines: list[str] = []
    for name, kind, help, member in (
        ("alerts_sent_total", "counter", "Messages that a receiver has acknowledged.", "sent"),
        ("alerts_dropped_total", "counter", "Messages given up after a day of attempts.", "dropped"),
        ("alerts_waiting", "gauge", "Messages that wait for a receiver.", "waiting"),
        ("alerts_failing", "gauge", "Whether the last attempt at a receiver failed.", "failing_us"),
    ):
        if known:
            lines += [f"# HELP modelwright_{name} {help}", f"# TYPE modelwright_{name} {kind}"]
        for one in known:
            value = int(bool(one.failing_us)) if member == "failing_us" else getattr(one, member)
            lines.append(f'modelwright_{name}{{to="{_label(one.name)}"}} {value}')
    return "\n".join([*lines, ""]) if lines else ""


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
