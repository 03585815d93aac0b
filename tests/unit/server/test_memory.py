"""What may still be taken of the memory, and when a model clearly does not fit."""

from pathlib import Path

import pytest

from explicate_server.errors import NotServable
from explicate_server.registry.loading import available_bytes, check_room

MIB = 1 << 20


def machine(tmp_path: Path, available_mib: int) -> Path:
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: 99999999 kB\nMemAvailable:   {available_mib * 1024} kB\nBuffers: 1 kB\n")
    return path


def container(tmp_path: Path, limit: str, *, used_mib: int, cached_mib: int) -> Path:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used_mib * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {cached_mib * MIB}\n")
    return tmp_path


def test_a_container_without_a_limit_has_what_the_machine_has(tmp_path: Path) -> None:
    group = container(tmp_path, "max", used_mib=100, cached_mib=0)
    assert available_bytes(machine(tmp_path, 500), group) == 500 * MIB
    assert available_bytes(machine(tmp_path, 500), tmp_path / "none") == 500 * MIB


def test_a_containers_limit_counts_and_its_cached_files_do_not(tmp_path: Path) -> None:
    group = container(tmp_path, str(400 * MIB), used_mib=350, cached_mib=120)
    assert available_bytes(machine(tmp_path, 500), group) == (400 - 350 + 120) * MIB
    assert available_bytes(machine(tmp_path, 50), group) == 50 * MIB


def test_what_cannot_be_told_is_none(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize(
    ("graph_mib", "reserve_mib", "available_mib", "fits"),
    [(100, 50, 150, True), (100, 50, 149, False), (100, 0, 1, True), (100, 50, None, True)],
)
def test_a_model_fits_beside_what_must_stay_free(
    graph_mib: int, reserve_mib: int, available_mib: int | None, fits: bool
) -> None:
    available = None if available_mib is None else available_mib * MIB

    def check() -> None:
        check_room(graph_mib * MIB, reserve_bytes=reserve_mib * MIB, available=available)

    if fits:
        check()
        return
    with pytest.raises(NotServable, match="149 MiB are free; the model takes 100 MiB at least") as caught:
        check()
    assert caught.value.reason == "NOT_ENOUGH_MEMORY"
