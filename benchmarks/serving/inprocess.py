"""Where a request's time goes inside the data plane, in process, without HTTP: microseconds a request.

Parts are timed one by one, so they need not add up to `whole`, which is `Dataplane.work` on batches of 32 requests.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.serving.work import Work

BATCH = 32
BATCHES = 100


def parts(work: Work) -> dict[str, float]:
    """Microseconds of decoding, reading features, the model (alone and in a batch), logging, the commit, and the whole."""
    from modelwright.core.clock import SystemClock
    from modelwright.lake.log import Log
    from modelwright.lake.rows import LogSchema
    from modelwright.lake.workspace import Workspace
    from modelwright.release.folder import open_release
    from modelwright.serving.dataplane import Dataplane, Event
    from modelwright.serving.http import HttpApp

    release = open_release(work.release)
    label = release.manifest.label
    schema = LogSchema(release.contract, label.name, label.kind)
    with Log.open(Workspace(work.workspace_copy("in-process")), schema, SystemClock()) as log:
        plane = Dataplane(log, release.contract, label, log.clock)
        live = plane.prepare(release)
        plane.swap(live, None, None)
        app = HttpApp(plane, "bench")
        bodies = work.bodies("in-process", BATCH * (2 * BATCHES + 1))
        events: list[Event] = [app._post["/predict"].decode(body)[0][0] for body in bodies]
        plane.work([("predict", [event]) for event in events[:BATCH]])  # the history is loaded when first touched

        def answered(batch: list[Event]) -> None:
            plane.work([("predict", [event]) for event in batch])

        def written(batch: list[Event]) -> float:
            with log.write() as write:
                for event in batch:
                    seq = write.event(event.id, event.at_us, event.values, digest=event.digest)
                    write.prediction(
                        seq, event.id, event.at_us, event.at_us, live.name, "champion", True, 0.5, [0.5, 0.5], features
                    )
                    write.answer(event.id, answer)
                leaving = time.perf_counter()
            return time.perf_counter() - leaving

        rows = live.rows_of([(event.values, live.features_of(event.values, event.at_us)) for event in events[:BATCH]])
        features = live.features_json(live.features_of(events[0].values, events[0].at_us))
        answer = b" " * 150
        whole, logging, commit = [], [], []
        for number in range(BATCHES):
            first = events[BATCH * (2 * number + 1) :]
            whole.append(_seconds(answered, first[:BATCH]))
            began = time.perf_counter()
            commit.append(written(first[BATCH : 2 * BATCH]))
            logging.append(time.perf_counter() - began - commit[-1])
        return {
            "decode": _each(lambda: app._post["/predict"].decode(bodies[0]), 1),
            "features": _each(lambda: live.features_of(events[-1].values, events[-1].at_us), 1),
            "model, one row": _each(lambda: release.predict(rows.take(slice(0, 1))), 1),
            f"model, {BATCH} rows": _each(lambda: release.predict(rows), BATCH),
            "log": 1e6 * statistics.median(logging) / BATCH,
            "commit": 1e6 * statistics.median(commit) / BATCH,
            "whole": 1e6 * statistics.median(whole) / BATCH,
        }


def _seconds(call: Callable[[Any], Any], given: Any) -> float:
    began = time.perf_counter()
    call(given)
    return time.perf_counter() - began


def _each(call: Callable[[], Any], rows: int, times: int = 500) -> float:
    """Median microseconds a row."""
    taken = [_seconds(lambda _: call(), None) for _ in range(times)]
    return 1e6 * statistics.median(taken) / rows
