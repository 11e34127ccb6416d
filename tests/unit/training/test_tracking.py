"""What a training leaves for the tracker is in MLflow, to every trial."""

import pytest

from modelwright.training.tracking import TrackedRun, spool, store_uri, track_pending


@pytest.mark.filterwarnings("ignore")
def test_every_trial_with_a_value_is_a_step(tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    values = tuple(None if step == 2 else step / 4_000 for step in range(1_500))
    run = TrackedRun(
        experiment="e", name="r1", at_us=10**12, seconds=1.0, params={"tuned.depth": "3"}, metrics={"mae": 0.5}, tags={},
        trials={"tuning": values},
    )  # fmt: skip
    spool(tmp_path, run)
    assert track_pending(tmp_path) == 1
    client = tracking.MlflowClient(tracking_uri=store_uri(tmp_path))
    (kept,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    history = client.get_metric_history(kept.info.run_id, "tuning")
    assert {one.step: one.value for one in history} == {
        step: value for step, value in enumerate(values) if value is not None
    }
    assert kept.data.params == {"tuned.depth": "3"}
    assert kept.data.metrics["mae"] == 0.5
