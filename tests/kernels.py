"""Kernels of single reads that are called twice, as numba compiles them and as an image holds them, and must agree to the bit."""

from typing import Any

import numpy as np

from modelwright.features.image import KERNELS, CompiledHere, FromImage, kernels
from modelwright.optimize.image import history_image


def both(image: bytes | None = None) -> Any:
    """In place of `features.image.kernels`."""
    made = kernels(history_image())
    return Both(made) if isinstance(made, FromImage) else made


class Both:
    """Gives what numba's kernels give, and leaves behind what they leave."""

    def __init__(self, image: FromImage) -> None:
        here = CompiledHere()
        for name in KERNELS:
            setattr(self, name, _twice(name, getattr(here, name), getattr(image, name)))


def _twice(name: str, numba: Any, image: Any) -> Any:
    def call(*given: Any) -> Any:
        copies = [one.copy() if isinstance(one, np.ndarray) else one for one in given]
        said, other = numba(*given), image(*copies)
        for place, (one, copy) in enumerate(zip(given, copies, strict=True)):
            assert same_bits(one, copy), f"{name}: argument {place} is left otherwise"
        results = (said, other) if isinstance(said, tuple) else ((said,), (other,))
        assert all(map(same_bits, *results)), name
        return said

    return call


def same_bits(one: Any, other: Any) -> bool:
    """Whether two arrays are equal to the bit; of NaN there is one."""
    if not isinstance(one, np.ndarray):
        return bool(one == other)
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    if one.dtype != np.float64:
        return one.tobytes() == other.tobytes()
    numbers = ~np.isnan(one)
    return np.array_equal(numbers, ~np.isnan(other)) and one[numbers].tobytes() == other[numbers].tobytes()
