"""What each of several processes gets of the limits of the server."""

from pathlib import Path

import pytest

from explicate_server.processes.birth import Birth, read_birth
from explicate_server.processes.shares import check_processes, share_of
from explicate_server.settings import SettingError, Settings


def test_together_they_have_what_one_server_has_and_a_caller_no_more_than_there() -> None:
    share = share_of(Settings(processes=4))
    whole = Settings()
    for name in ("max_concurrent_calls", "max_explanations", "max_evaluations_per_caller", "max_memo_bytes"):
        assert 4 * getattr(share, name) == getattr(whole, name)
    assert share.max_queued_bytes * 4 == whole.max_queued_bytes
    # What bounds one call is the same everywhere.
    for name in ("max_inputs", "max_message_bytes", "max_evaluations", "max_call_s"):
        assert getattr(share, name) == getattr(whole, name)


def test_one_call_finds_room_in_the_queue_of_each() -> None:
    share = share_of(Settings(processes=8))
    assert share.max_queued_rows == share.max_inputs == 1024
    assert share_of(Settings(processes=8, max_queued_rows=100)).max_queued_rows == 100


def test_each_has_its_share_of_the_cores_unless_threads_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explicate_server.processes.shares.usable_cores", lambda: 6)
    assert share_of(Settings(processes=2)).threads == 3
    assert share_of(Settings(processes=16)).threads == 1
    assert share_of(Settings(processes=2, threads=5)).threads == 5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"listen": "unix:/tmp/x.sock"}, "--listen is 'unix:/tmp/x.sock', which --processes 2 cannot share"),
        ({"admin_listen": "unix:/tmp/x.sock"}, "--admin-listen is 'unix:/tmp/x.sock', which --processes 2 cannot"),
        ({"device": "cuda:1"}, "--device is 'cuda:1'; --processes 2 runs models on the CPU only"),
        ({"swap_in_place": True}, "--swap-in-place is for memory that holds one version, --processes 2 takes 2"),
        ({"max_explanations": 1}, "--max-explanations is 1; with --processes 2 it must be at least 2"),
    ],
)
def test_what_does_not_fit_several_processes_is_named(changes: dict[str, object], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        check_processes(Settings(processes=2, **changes))  # type: ignore[arg-type]


def test_other_systems_than_linux_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SettingError, match="--processes 2 needs Linux"):
        check_processes(Settings(processes=2))


def test_no_memo_stays_no_memo() -> None:
    settings = Settings(processes=2, max_memo_bytes=0)
    check_processes(settings)
    assert share_of(settings).max_memo_bytes == 0


def test_a_process_is_told_its_settings_to_the_last_bit() -> None:
    import socket

    settings = share_of(
        Settings(processes=3, repository=Path("ein Ordner"), max_call_s=0.1 + 0.2, audit_inputs=True, models="a, b")
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(Birth(2, True, settings).line())
        assert read_birth(theirs) == Birth(2, True, settings)
        ours.close()
        assert read_birth(theirs) is None
