"""Machine code is kept in a directory named by the kernel's sources."""

from pathlib import Path

import numba
import pytest

from modelwright.features.kernel import compiled

KERNEL = Path(compiled.__file__).parent


def test_directory_is_the_users_unless_numba_was_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = compiled.cache_directory(KERNEL)
    assert made is not None
    assert Path(made).parent == tmp_path / "modelwright"
    assert Path(made).is_dir()
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/elsewhere")
    assert compiled.cache_directory(KERNEL) == "/elsewhere"


def test_nowhere_to_write_means_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiled.cache_directory(KERNEL) is None


def test_any_kernel_source_changes_the_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "kernel"
    source.mkdir()
    (source / "total.py").write_text("a")
    before = compiled.cache_directory(source)
    (source / "total.py").write_text("b")
    assert compiled.cache_directory(source) != before
