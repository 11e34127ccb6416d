"""The image of the kernels that read history: used where it fits and nowhere else. That it says what numba's kernels say, every
test of features and of their properties holds."""

import subprocess
import sys

import numpy as np
import pytest

from modelwright.core.machine_code import fits_machine
from modelwright.features import image as using
from modelwright.features.image import CompiledHere, FromImage, kernels
from modelwright.optimize.image import history_image, machine_image

pytestmark = pytest.mark.skipif(not fits_machine(), reason="images are made for Linux on x86-64")

STEPS = np.array([(2, 3_600_000_000, 0, 0, 0, 0, 0, 0, -1, 0)])
"""The sum of a column over an hour."""
PARAMETERS = np.zeros(1)


def test_it_is_used_where_it_fits():
    made = kernels(history_image())
    assert isinstance(made, FromImage)
    assert np.array_equal(made.begun(STEPS, PARAMETERS), CompiledHere().begun(STEPS, PARAMETERS))


UNFIT = {
    "none": lambda: None,
    "empty": lambda: b"",
    "cut short": lambda: history_image()[:-1],
    "of other kernels": lambda: machine_image(),
    "of another version": lambda: history_image().replace(using.sources().encode(), b"0" * 64),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_does_not_fit_is_not_used_and_numba_answers(what):
    assert isinstance(kernels(UNFIT[what]()), CompiledHere)


def test_where_arrays_are_kept_otherwise_numba_answers(monkeypatch):
    monkeypatch.setattr(using, "_arrays_are_as_expected", using._arrays_are_as_expected.__wrapped__)
    for name in ("DATA", "DIMENSIONS"):
        with monkeypatch.context() as patch:
            patch.setattr(using, name, using.FLAGS)
            assert isinstance(kernels(history_image()), CompiledHere)
    assert isinstance(kernels(history_image()), FromImage)


@pytest.mark.parametrize("wrong", [STEPS[0], STEPS[:, ::2], np.asfortranarray(np.vstack([STEPS, STEPS]))])
def test_an_array_that_is_not_as_a_kernel_takes_it_is_refused(wrong):
    with pytest.raises(ValueError, match="begun: an array of other dimensions, or not contiguous"):
        kernels(history_image()).begun(wrong, PARAMETERS)


MANY = """
import gc, sys
from pathlib import Path
import numpy as np
from modelwright.features import image
from modelwright.features.image import kernels

def resident_mib():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024

made = kernels(Path(sys.argv[1]).read_bytes())
image._code.cache_clear()  # as the images of many releases would: the code stays while it is called
gc.collect()
steps, parameters = np.array([(2, 3_600_000_000, 0, 0, 0, 0, 0, 0, -1, 0)]), np.zeros(1)
for count in (1_000, 300_000):
    for _ in range(count):
        arena = made.begun(steps, parameters)
    print(resident_mib())
assert "numba" not in sys.modules
print(arena.nbytes)
"""


def test_what_it_allocates_it_gives_back(tmp_path):
    """In a process of its own: 300,000 states of some hundred bytes would be seen."""
    (tmp_path / "history.img").write_bytes(history_image())
    command = [sys.executable, "-c", MANY, str(tmp_path / "history.img")]
    first, last, size = map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert 300_000 * size / 2**20 > 100
    assert last < first + 20
