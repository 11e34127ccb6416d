"""A key's rate, counted by one process or by several."""

import os
from pathlib import Path

import pytest

from modelwright.serving.allowance import Bucket, SharedBucket, of_this_process, shared_in


@pytest.mark.parametrize(("count", "unit_s"), [(1, 1), (3, 1), (10, 60), (49, 1), (1000, 3600)])
def test_a_bucket_is_full_at_first_and_fills_at_its_rate(count: int, unit_s: int) -> None:
    bucket, now = Bucket(count, unit_s), 1e6
    assert [bucket.take(now) for _ in range(count)] == [0.0] * count
    wait_s = bucket.take(now)
    assert wait_s == pytest.approx(unit_s / count, rel=1e-3)
    assert bucket.take(now + wait_s * 0.9) > 0
    assert bucket.take(now + wait_s) == 0.0
    assert bucket.take(now + 10 * unit_s) == 0.0
    assert sum(bucket.take(now + 10 * unit_s) == 0.0 for _ in range(2 * count)) == count - 1


def test_those_of_one_folder_are_one(tmp_path: Path) -> None:
    one, other = shared_in(tmp_path)("ab", 5, 1), shared_in(tmp_path)("ab", 5, 1)
    assert [bucket.take(50.0) == 0.0 for bucket in (one, other, one, other, one, other, one)] == [True] * 5 + [
        False
    ] * 2
    assert shared_in(tmp_path)("cd", 5, 1).take(50.0) == 0.0  # another key
    assert shared_in(tmp_path)("ab", 6, 1).take(50.0) == 0.0  # another rate
    assert of_this_process("ab", 5, 1).take(50.0) == 0.0


def test_processes_that_take_at_once_take_no_token_twice(tmp_path: Path) -> None:
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            bucket = SharedBucket(1000, 1, tmp_path / "rate")
            (tmp_path / f"{number}").write_text(str(sum(bucket.take(7.0) == 0.0 for _ in range(1000))))
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert sum(int((tmp_path / f"{number}").read_text()) for number in range(3)) == 1000
