import re

from modelwright.serving.exposition import BUCKETS, exposition, request_seconds, stage_seconds

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? -?[0-9.e+-]+')


def test_every_line_is_prometheus_text(plane, release, pay):
    plane.swap(plane.prepare(release("r1", 0.5)[0]), None, None)
    plane.work([("predict", [pay(1, shop="z")]), ("event", [pay(2)])])
    latency, stages = request_seconds(), stage_seconds()
    latency.observe("/predict", 0.002)
    for stage, _ in plane.stages.marks:
        stages.observe(stage, 0.00003, 2)
    text = exposition(
        plane, (latency, stages), {("/predict", 200): 3}, {"slow": 2}, 4, {"full": 3, "waited": 0, "idle": 9}
    )
    typed = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("# HELP "):
            assert LINE.fullmatch(line), line
            name = re.match(r"[a-z_]+", line)[0]
            assert name in typed or re.sub(r"_(bucket|sum|count)$", "", name) in typed, line
    assert 'modelwright_predictions_total{release="r1"} 1' in text
    assert 'modelwright_unseen_total{column="shop"} 1' in text
    assert 'modelwright_release_info{role="champion",release="r1"} 1' in text
    assert 'modelwright_responses_total{route="/predict",status="200"} 3' in text
    assert 'modelwright_refused_total{reason="slow"} 2' in text
    assert "modelwright_waiting 4" in text
    assert 'modelwright_batches_total{closed="full"} 3' in text
    for stage in ("begin", "features", "model", "encode", "commit"):
        assert f'modelwright_stage_seconds_bucket{{stage="{stage}",le="0.000025"}} 0' in text
        assert f'modelwright_stage_seconds_bucket{{stage="{stage}",le="0.00005"}} 2' in text
    assert text.endswith("\n")


def test_buckets_are_cumulative():
    latency = request_seconds()
    for seconds in (0.0004, BUCKETS[0], 0.02, 5.0):
        latency.observe("/predict", seconds)
    found = dict(re.findall(r'le="([^"]+)"\} (\d+)', "\n".join(latency.lines())))
    assert (found["0.0005"], found["0.001"], found["0.025"], found["1.0"], found["+Inf"]) == ("2", "2", "3", "3", "4")
    assert 'modelwright_request_seconds_count{route="/predict"} 4' in latency.lines()
