"""Addresses to listen on: what is not of the form is refused by name, and nobody's socket is taken."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from explicate_server.address import Address, AddressInUseError, parse_address
from explicate_server.settings import SettingError, Settings


@pytest.mark.parametrize(
    ("text", "host", "port", "local"),
    [
        ("127.0.0.1:8500", "127.0.0.1", 8500, True),
        ("127.8.0.1:0", "127.8.0.1", 0, True),
        ("0.0.0.0:65535", "0.0.0.0", 65535, False),
        ("[::1]:8500", "::1", 8500, True),
        ("[::]:8500", "::", 8500, False),
        ("[2001:db8:0:0::1]:80", "2001:db8::1", 80, False),
        ("localhost:8500", "localhost", 8500, True),
        ("models.example.org:8500", "models.example.org", 8500, False),
        ("127.evil.example:80", "127.evil.example", 80, False),
    ],
)
def test_addresses_are_read_and_written(text: str, host: str, port: int, local: bool) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.is_local) == (host, port, local)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "HOST:PORT"),
        ("127.0.0.1", "HOST:PORT"),
        ("8500", "HOST:PORT"),
        ("127.0.0.1:", "HOST:PORT"),
        (":8500", "for every interface"),
        ("0.0.0.0:99999", "ports end at 65535"),
        ("0.0.0.0:65536", "ports end at 65535"),
        ("127.0.0.1:-1", "HOST:PORT"),
        ("127.0.0.1:+80", "HOST:PORT"),
        ("127.0.0.1: 80", "HOST:PORT"),
        ("127.0.0.1:8٥00", "HOST:PORT"),
        ("127.0.0.1:8500\n", "HOST:PORT"),
        ("::1:8500", "in brackets"),
        ("[::1]", "HOST:PORT"),
        ("[::1]8500", "HOST:PORT"),
        ("[127.0.0.1]:80", "not an IPv6 address"),
        ("[fe80::zz]:80", "not an IPv6 address"),
        ("256.0.0.1:80", "not an IPv4 address"),
        ("127.1:80", "not an IPv4 address"),
        ("my_host:80", "not the name of a host"),
        ("-x:80", "not the name of a host"),
        ("a b:80", "not the name of a host"),
        ("http://127.0.0.1:80", "HOST:PORT"),
        ("dns:///localhost:80", "HOST:PORT"),
        ("unix:", "unix:PATH"),
        ("unix://host/x", "unix:PATH"),
        ("unix:/" + "x" * 107, "at most 107 bytes"),
        ("unix-abstract:x", "HOST:PORT"),
    ],
)
def test_what_is_no_address_is_refused_with_the_form(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_address(text)


def test_unix_sockets_are_paths_and_not_for_every_flag() -> None:
    assert str(parse_address("unix:run/x.sock")) == "unix:run/x.sock"
    assert str(parse_address("unix:///run/x.sock")) == "unix:/run/x.sock"
    assert parse_address("unix:/run/x.sock").is_local
    assert str(parse_address("unix:/run/x.sock").at(1)) == "unix:/run/x.sock"
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address("unix:/run/x.sock", unix=False)


@pytest.mark.parametrize("name", ["listen", "admin_listen", "metrics_listen"])
def test_a_setting_with_a_bad_address_is_named(name: str) -> None:
    flag = "--" + name.replace("_", "-")
    with pytest.raises(SettingError, match=f"{flag} is '127.0.0.1'; it must be HOST:PORT"):
        Settings(**{name: "127.0.0.1"})  # type: ignore[arg-type]


def test_two_ports_cannot_be_one_and_free_ones_can() -> None:
    with pytest.raises(SettingError, match=r"--metrics-listen is '127\.0\.0\.1:9', as --listen is"):
        Settings(listen="127.0.0.1:9", metrics_listen="127.0.0.1:9")
    Settings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", metrics_listen="127.0.0.1:0")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def claim(address: Address) -> None:
    with address.claimed():
        pass


def test_a_port_that_is_taken_is_told(listener: socket.socket) -> None:
    taken = parse_address("127.0.0.1:0").at(listener.getsockname()[1])
    with pytest.raises(AddressInUseError, match="in use; is another server there"):
        claim(taken)
    claim(parse_address("127.0.0.1:0"))


def test_a_name_is_taken_where_one_of_its_addresses_is(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)) for host in ("192.0.2.1", "127.0.0.2", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(AddressInUseError, match="in use"):
        claim(Address("two.example", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both[:2])
    claim(Address("two.example", port))  # one that this machine does not have does not matter
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both[:1])
    with pytest.raises(AddressInUseError, match="assign"):
        claim(Address("two.example", port))


def test_a_name_that_is_not_known_is_told() -> None:
    with pytest.raises(AddressInUseError, match=r"'nowhere\.invalid' is not known"):
        claim(parse_address("nowhere.invalid:80"))


def test_a_socket_that_answers_is_not_taken_and_a_stale_one_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    address = Address(path=str(path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)
        with pytest.raises(AddressInUseError, match="another server answers"):
            claim(address)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for caller in waiting:  # until its queue is full; then it does not even let us wait
            caller.setblocking(False)
            caller.connect_ex(str(path))
        with pytest.raises(AddressInUseError, match="another server answers"):
            claim(address)
        for caller in waiting:
            caller.close()
        assert path.is_socket()
    claim(address)
    assert not path.exists()
    claim(address)


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    path.write_text("mine")
    with pytest.raises(AddressInUseError, match="not a socket"):
        claim(Address(path=str(path)))
    assert path.read_text() == "mine"
    with pytest.raises(AddressInUseError, match="No such file"):
        claim(Address(path=str(tmp_path / "none" / "server.sock")))


def test_of_two_servers_that_start_at_once_one_waits_its_turn(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "server.sock"))
    with address.claimed(), pytest.raises(AddressInUseError, match="another server is starting"):
        claim(address)
    claim(address)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - no lock file is left either
