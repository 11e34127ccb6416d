"""`python -m modelwright.release.compiled`: compile the machine now, so that the first start need not."""

import numpy as np

from modelwright.release.compiled.program import Program
from modelwright.release.compiled.runtime import CompiledRuntime


def warm_up() -> None:
    """Run a program of nothing; what that compiles is kept in the user's cache."""
    program = Program(registers=1, numbers=1, texts=0, targets=1, link="identity", start=np.zeros(1))
    CompiledRuntime(program.to_bytes(), ())


if __name__ == "__main__":
    warm_up()
