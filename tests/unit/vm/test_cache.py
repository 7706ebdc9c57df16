"""What is built once stays; what was killed half way is built anew; what does not fit is said before."""

from __future__ import annotations

from pathlib import Path

import pytest
from disposable.cache import Unable, key_of, made


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PODWRIGHT_VM_CACHE", str(tmp_path))
    return tmp_path


def write(directory: Path) -> None:
    (directory / "disk").write_text("done")


def never(directory: Path) -> None:
    raise AssertionError(f"{directory} was there already")


def test_built_once(cache: Path) -> None:
    assert made("image", write, needs_mb=1) == cache / "image"
    assert made("image", never, needs_mb=1) == cache / "image"


def test_a_build_that_was_killed_begins_anew(cache: Path) -> None:
    (cache / "image.building").mkdir()
    (cache / "image.building/half").write_text("half")
    assert [path.name for path in made("image", write, needs_mb=1).iterdir()] == ["disk"]
    assert not (cache / "image.building").exists()


def test_a_build_that_failed_is_not_taken_for_done(cache: Path) -> None:
    with pytest.raises(AssertionError):
        made("image", never, needs_mb=1)
    assert not (cache / "image").exists()


def test_a_disk_that_is_too_small_is_named_before_anything_is_built(cache: Path) -> None:
    with pytest.raises(Unable, match=rf"{cache} has \d+ MB free and \d+ are needed.*PODWRIGHT_VM_CACHE"):
        made("image", never, needs_mb=10**9)


def test_a_key_tells_its_inputs_apart() -> None:
    assert key_of("a", "bc") != key_of("ab", "c")
