"""The threads of a model: the cores of the process, and no more than its control group pays for."""

import os
from pathlib import Path

import pytest

from explicate_server.runtime.cores import cpu_quota, usable_cores


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.write_text("0::/\n")
    return path


def test_without_control_groups_or_a_limit_there_is_no_quota(cgroup: Path, own: Path, tmp_path: Path) -> None:
    assert cpu_quota(cgroup, own) is None
    assert cpu_quota(cgroup, tmp_path / "none") is None
    write(cgroup / "cpu.max", "max 100000\n")
    assert cpu_quota(cgroup, own) is None
    write(cgroup / "cpu.max", "nonsense")
    assert cpu_quota(cgroup, own) is None


def test_the_quota_of_a_container_is_read_in_version_2(cgroup: Path, own: Path) -> None:
    write(cgroup / "cpu.max", "150000 100000\n")
    assert cpu_quota(cgroup, own) == 1.5


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_the_quota_of_a_container_is_read_in_version_1(cgroup: Path, own: Path, mount: str) -> None:
    write(cgroup / mount / "cpu.cfs_quota_us", "250000\n")
    write(cgroup / mount / "cpu.cfs_period_us", "100000\n")
    own.write_text("12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n")  # a path that the container does not have
    assert cpu_quota(cgroup, own) == 2.5
    write(cgroup / mount / "cpu.cfs_quota_us", "-1\n")
    assert cpu_quota(cgroup, own) is None


def test_the_least_quota_of_the_groups_above_counts(cgroup: Path, own: Path) -> None:
    own.write_text("0::/system.slice/explicate.service\n")
    write(cgroup / "system.slice" / "explicate.service" / "cpu.max", "max 100000\n")
    assert cpu_quota(cgroup, own) is None
    write(cgroup / "system.slice" / "cpu.max", "400000 100000\n")
    assert cpu_quota(cgroup, own) == 4.0
    write(cgroup / "system.slice" / "explicate.service" / "cpu.max", "50000 20000\n")
    assert cpu_quota(cgroup, own) == 2.5
    own.write_text("4:cpu:/a\n")
    write(cgroup / "cpu" / "a" / "cpu.cfs_quota_us", "300000")
    write(cgroup / "cpu" / "a" / "cpu.cfs_period_us", "100000")
    assert cpu_quota(cgroup, own) == 3.0


@pytest.mark.parametrize(("quota_us", "threads"), [(10_000, 1), (199_999, 1), (200_000, 2), (1_000_000, 4)])
def test_threads_are_whole_at_least_one_and_no_more_than_there_are_cores(
    cgroup: Path, own: Path, monkeypatch: pytest.MonkeyPatch, quota_us: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    write(cgroup / "cpu.max", f"{quota_us} 100000")
    assert usable_cores(cgroup, own) == threads
