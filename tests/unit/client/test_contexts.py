"""The file of contexts, and which server, model and token count."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from explicate import Tls
from explicate.contexts.chosen import Chosen, chosen
from explicate.contexts.context_file import Context, ContextFile, context_path, read_contexts, write_contexts
from explicate.errors import UsageError

_STAGING = """\
current = "staging"

[contexts.staging]
server = "models.internal:8500"
model = "reviews"
tls_ca = "ca.pem"
token_file = "token"

[contexts."schöne 🍜"]
server = "127.0.0.1:9000"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for $XDG_CONFIG_HOME with two contexts."""
    folder = tmp_path / "explicate"
    folder.mkdir()
    (folder / "config.toml").write_text(_STAGING, encoding="utf-8")
    (folder / "token").write_text("the-token\n", encoding="utf-8")
    return tmp_path


def of(home: Path, environ: Mapping[str, str] = {}, **given: str) -> Chosen:
    return chosen(**given, environ={"XDG_CONFIG_HOME": str(home), **environ})


def test_the_current_context_counts_where_nothing_else_is_said(home: Path) -> None:
    assert of(home) == Chosen(
        server="models.internal:8500",
        model="reviews",
        tls=Tls(ca=str(home / "explicate" / "ca.pem")),
        token="the-token",
        allow_plain_token=False,
        context="staging",
    )


def test_without_a_file_it_is_this_machine(tmp_path: Path) -> None:
    assert of(tmp_path) == Chosen("127.0.0.1:8500", None, False, None, False, None)


@pytest.mark.parametrize(
    ("environ", "given", "server", "context"),
    [
        ({"EXPLICATE_SERVER": "env:1"}, {}, "env:1", None),
        ({"EXPLICATE_SERVER": "env:1"}, {"server": "flag:1"}, "flag:1", None),
        ({"EXPLICATE_SERVER": "env:1"}, {"context": "staging"}, "models.internal:8500", "staging"),
        ({"EXPLICATE_CONTEXT": "schöne 🍜"}, {}, "127.0.0.1:9000", "schöne 🍜"),
        ({"EXPLICATE_CONTEXT": "schöne 🍜"}, {"context": "staging"}, "models.internal:8500", "staging"),
        ({"EXPLICATE_CONTEXT": "schöne 🍜", "EXPLICATE_SERVER": "env:1"}, {}, "env:1", None),
        ({"EXPLICATE_SERVER": ""}, {}, "models.internal:8500", "staging"),
    ],
)
def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    home: Path, environ: dict[str, str], given: dict[str, str], server: str, context: str | None
) -> None:
    found = of(home, environ, **given)
    assert (found.server, found.context) == (server, context)


def test_the_token_of_a_context_goes_to_no_other_server(home: Path) -> None:
    other = of(home, server="elsewhere:1")
    assert (other.token, other.tls, other.model) == (None, False, None)


def test_the_environment_goes_before_the_model_and_token_of_a_context(home: Path) -> None:
    environ = {"EXPLICATE_MODEL": "tea", "EXPLICATE_TOKEN": "mine"}
    assert (of(home, environ).model, of(home, environ).token) == ("tea", "mine")
    assert of(home, environ, model="soup").model == "soup"


def test_a_server_and_a_context_together_are_refused(home: Path) -> None:
    with pytest.raises(UsageError, match="give one of them"):
        of(home, server="a:1", context="staging")


def test_an_unknown_context_is_named_with_the_nearest(home: Path) -> None:
    with pytest.raises(UsageError, match="there is no context 'stagging'; did you mean staging"):
        of(home, context="stagging")


def test_a_token_variable_that_is_not_set_is_named(home: Path) -> None:
    path = home / "explicate" / "config.toml"
    path.write_text('[contexts.a]\nserver = "s:1"\ntoken_env = "MY_TOKEN"\n')
    assert of(home, {"MY_TOKEN": "x"}, context="a").token == "x"
    with pytest.raises(UsageError, match="MY_TOKEN, which is not set"):
        of(home, context="a")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"current = \n", "line 1"),
        (b'[contexts.a]\r\nserver = "a:1"\r\nmodel = reviews\r\n', "line 3"),
        (b"\xff\xfec\x00", "UTF-8"),
        (b"contexts = 3\n", "must be sections"),
        (b"current = 3\n", "in quotes"),
        (b'[contexts.a]\nsrever = "a:1"\n', "did you mean server"),
        (b"[contexts.a]\nserver = 1\n", "server must be a text"),
        (b'[contexts.a]\nserver = "a:1"\ntls = "yes"\n', "true or false"),
        (b'[contexts.a]\nmodel = "m"\n', "needs a server"),
        (b'[contexts.a]\nserver = "a:1"\ntoken = "secret"\n', "token_file"),
        (b'[contexts.a]\nserver = "a:1"\ntoken_file = "f"\ntoken_env = "e"\n', "keep one"),
        (b'[context.a]\nserver = "a:1"\n', "did you mean contexts"),
    ],
)
def test_a_broken_file_is_told_with_its_name_and_place(tmp_path: Path, text: bytes, told: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=told) as refused:
        read_contexts(path)
    assert str(path) in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + b'current = "a"\r\n[contexts.a]\r\nserver = "s:1"\r\n')
    assert read_contexts(path) == ContextFile(path, "a", {"a": Context("s:1")})


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    odd = Context('a"\\\x07\n:1', model="🍜", tls=True, token_env="T", allow_plain_token=True)
    file = ContextFile(tmp_path / "new" / "config.toml", 'x "y"', {'x "y"': odd, "é.b": Context("b:1")})
    write_contexts(file)
    assert read_contexts(file.path) == file
    assert file.path is not None
    assert stat.S_IMODE(file.path.stat().st_mode) & 0o077 == 0
    assert [each.name for each in file.path.parent.iterdir()] == ["config.toml"]


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    link = tmp_path / "config.toml"
    link.symlink_to(tmp_path / "dotfiles" / "explicate.toml")
    write_contexts(ContextFile(link, None, {"a": Context("s:1")}))
    assert link.is_symlink()
    assert read_contexts(link).contexts == {"a": Context("s:1")}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "explicate").write_text("a file, where a folder should be")
    path = tmp_path / "explicate" / "config.toml"
    assert read_contexts(path) == ContextFile(path)
    with pytest.raises(UsageError, match=r"cannot write .*config\.toml"):
        write_contexts(ContextFile(path))


def test_a_machine_without_a_home_has_no_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert context_path({}) is None
    assert chosen(environ={"XDG_CONFIG_HOME": "relative"}).server == "127.0.0.1:8500"
    with pytest.raises(UsageError, match="no home directory"):
        write_contexts(ContextFile(None))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may look everywhere")
def test_a_home_that_may_not_be_looked_into_has_no_contexts(home: Path) -> None:
    folder = home / "explicate"
    folder.chmod(0)
    try:
        assert of(home).server == "127.0.0.1:8500"
    finally:
        folder.chmod(0o700)
