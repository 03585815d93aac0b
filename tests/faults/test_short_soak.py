"""A short form of each soak; `make soak` runs the full counts and prints their figures."""

from pathlib import Path

from support.faults.load_cycles import load_and_unload, load_mutated_bundles
from support.faults.request_fuzzing import fuzz_requests
from support.faults.swapping import swap_under_load


async def test_swaps_under_load_fail_nobody_and_mix_no_versions(repository: Path, tmp_path: Path) -> None:
    figures = await swap_under_load(repository, swaps=6, callers=16, quiet_s=0.5, log=tmp_path / "log")
    assert figures.wrong == []
    assert figures.swaps == 6
    assert figures.versions == {1, 2}
    assert figures.explanations > 0


async def test_cycles_of_load_and_unload_give_the_memory_back(repository: Path, tmp_path: Path) -> None:
    figures = await load_and_unload(repository, cycles=20, log=tmp_path / "log")
    assert figures.bad == []
    assert figures.lived
    assert figures.growth < 0.05


async def test_mutated_bundles_are_refused_by_name_and_cost_no_memory(repository: Path, tmp_path: Path) -> None:
    figures = await load_mutated_bundles(repository, count=40, seed=1, log=tmp_path / "log")
    assert figures.bad == []
    assert figures.lived
    assert 0 < figures.refused < 40  # a model card may say anything
    assert figures.growth < 0.05


async def test_mutated_requests_get_a_status_that_is_not_the_servers_fault(repository: Path, tmp_path: Path) -> None:
    figures = await fuzz_requests(repository, count=1500, seed=1, log=tmp_path / "log")
    assert figures.bad == []
    assert figures.lived
    assert figures.statuses["OK"] > 0
    assert figures.statuses["INVALID_ARGUMENT"] > 0
    assert figures.last_resident_bytes < 1.1 * figures.first_resident_bytes
