"""What may still be taken of the memory, and when a model clearly does not fit."""

from pathlib import Path

import pytest

from explicate_server.errors import NotServable
from explicate_server.registry.memory import Memory, Pool, available_bytes

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
    pool = Pool("", lambda: available, reserve_mib * MIB, "--memory-reserve-bytes")
    ran: list[bool] = []

    def load() -> None:
        with pool.room_for("m", graph_mib * MIB, advice="unload another version first"):
            ran.append(True)

    if fits:
        load()
        assert ran
        return
    with pytest.raises(NotServable, match="149 MiB are free; the model takes 100 MiB at least") as caught:
        load()
    assert caught.value.reason == "NOT_ENOUGH_MEMORY"
    assert not ran


class Card:
    """A device's memory that a test takes and gives back."""

    def __init__(self, free_mib: int) -> None:
        self.free_mib = free_mib

    def pool(self, reserve_mib: int = 100) -> Pool:
        return Pool(
            "cuda:0",
            lambda: self.free_mib * MIB,
            reserve_mib * MIB,
            "--device-reserve-bytes",
            copies=2.0,
            extra_bytes=500 * MIB,
            measures=True,
        )


def host() -> Pool:
    return Pool("", lambda: None, 1, "--memory-reserve-bytes")


def test_a_version_that_does_not_fit_a_device_is_refused_with_what_is_needed_what_is_free_and_what_to_do() -> None:
    memory = Memory(host(), [Card(799).pool()])
    with pytest.raises(NotServable) as caught, memory.room_for("m", 100 * MIB):
        raise AssertionError
    assert str(caught.value) == (
        "799 MiB of cuda:0 are free; the model takes about 700 MiB and 100 MiB must stay free "
        "(--device-reserve-bytes); unload another version first (a swap needs both for a moment, unless "
        "--swap-in-place)"
    )


def test_a_version_fits_only_where_every_device_has_room() -> None:
    memory = Memory(host(), [Card(800).pool(), Card(799).pool()])
    with pytest.raises(NotServable, match="799 MiB of cuda:0"), memory.room_for("m", 100 * MIB):
        raise AssertionError
    memory.devices.pop()
    with memory.room_for("m", 100 * MIB):
        pass


def test_what_a_modality_takes_beside_the_graph_is_the_machine_s_alone() -> None:
    memory = Memory(Pool("", lambda: 150 * MIB, 1, "--memory-reserve-bytes"), [Card(800).pool()])
    with memory.room_for("m", 100 * MIB, beside_bytes=40 * MIB):
        pass
    memory.check_in_place("m", 100 * MIB, 0, beside_bytes=40 * MIB)
    with pytest.raises(NotServable, match="the model takes 160 MiB"):
        memory.check_in_place("m", 100 * MIB, 0, beside_bytes=60 * MIB)
    refused = pytest.raises(NotServable, match="150 MiB are free; the model takes 160 MiB")
    with refused, memory.room_for("m", 100 * MIB, beside_bytes=60 * MIB):
        raise AssertionError


def test_what_one_load_will_take_of_a_device_is_not_counted_on_by_the_next() -> None:
    memory = Memory(host(), [Card(1499).pool()])
    refused = pytest.raises(NotServable, match="799 MiB of cuda:0")
    with memory.room_for("m", 100 * MIB), refused, memory.room_for("n", 100 * MIB):
        raise AssertionError
    with memory.room_for("n", 100 * MIB):
        pass


def test_a_load_measures_what_the_next_version_of_its_model_takes() -> None:
    card = Card(2000)
    pool = card.pool()
    with pool.room_for("m", 100 * MIB, advice=""):
        card.free_mib -= 300
    assert pool.wants("m", 100 * MIB) == 300 * MIB
    assert pool.wants("m", 50 * MIB) == 150 * MIB, "half the graph"
    assert pool.wants("n", 100 * MIB) == 700 * MIB, "another model is not known by this one"


@pytest.mark.parametrize("disturbance", ["load", "free", "failure"])
def test_a_load_that_something_disturbs_measures_nothing(disturbance: str) -> None:
    card = Card(5000)
    pool = card.pool()

    def load() -> None:
        with pool.room_for("m", 100 * MIB, advice=""):
            card.free_mib -= 300
            if disturbance == "load":
                with pool.room_for("n", 100 * MIB, advice=""):
                    card.free_mib -= 300
            if disturbance == "free":
                pool.disturbed()
            if disturbance == "failure":
                raise RuntimeError

    if disturbance == "failure":
        with pytest.raises(RuntimeError):
            load()
    else:
        load()
    assert pool.wants("m", 100 * MIB) == 700 * MIB
    assert pool.wants("n", 100 * MIB) == 700 * MIB


def test_what_a_device_got_back_meanwhile_does_not_make_a_version_smaller_than_its_graph() -> None:
    card = Card(1000)
    pool = card.pool()
    with pool.room_for("m", 100 * MIB, advice=""):
        card.free_mib += 50
    assert pool.wants("m", 100 * MIB) == 100 * MIB


def test_in_the_place_of_another_a_version_needs_less_free() -> None:
    memory = Memory(host(), [Card(150).pool()], swaps_in_place=True)
    memory.check_in_place("m", 100 * MIB, 100 * MIB)
    with pytest.raises(NotServable, match="even without the version that it replaces"):
        memory.check_in_place("m", 200 * MIB, 100 * MIB)


def test_a_device_that_does_not_tell_refuses_nothing() -> None:
    silent = Pool("cuda:0", lambda: None, 100 * MIB, "--device-reserve-bytes", 2.0, 500 * MIB, measures=True)
    with Memory(host(), [silent]).room_for("m", 10**15):
        pass
