"""What `import modelwright`, and a declaration, may cost."""

import os
import subprocess
import sys

import pytest

HEAVY = (
    "numba",
    "mlflow",
    "sklearn",
    "pandas",
    "duckdb",
    "pyarrow",
    "numpy",
    "onnxruntime",
    "lmdb",
    "deltalake",
    "lightgbm",
)
IMPORT_SECONDS = 0.3
CPU = "import resource; u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    return done.stdout


def loaded_by(code: str) -> set[str]:
    return set(python(f"{code}\nimport sys\nprint('\\n'.join(sys.modules))").split())


def test_the_package_loads_none_of_the_heavy_libraries():
    loaded = loaded_by("import modelwright")
    assert "modelwright" in loaded
    assert not loaded & set(HEAVY)


def test_nor_does_a_declaration():
    loaded = loaded_by("import modelwright as mw\nfor name in mw.__all__: getattr(mw, name)")
    assert "modelwright.spec.system" in loaded
    assert not loaded & set(HEAVY)


def test_the_package_is_imported_in_under_three_tenths_of_a_second():
    # Processor seconds, so that a busy machine does not count; the best of five, less a bare start of Python.
    def cost(code: str) -> float:
        return min(float(python(f"{code}\n{CPU}")) for _ in range(5))

    assert cost("import modelwright") - cost("") < IMPORT_SECONDS


def test_every_public_name_is_there_and_no_other():
    import modelwright as mw

    assert all(hasattr(mw, name) for name in mw.__all__)
    assert set(mw.__all__) <= set(dir(mw))
    with pytest.raises(AttributeError, match="module 'modelwright' has no attribute 'sytem'"):
        _ = mw.sytem
