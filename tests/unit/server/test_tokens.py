"""The file of tokens: what it may say, what it must not, and how it is compared."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from explicate.cli.main import main
from explicate_server.security.tokens import (
    Reloaded,
    Right,
    Token,
    digest_of,
    find_token,
    line_of,
    new_token,
    parse_rights,
    read_tokens,
)

HASH = "sha256:" + hashlib.sha256(b"token").hexdigest()

OTHER = "sha256:" + hashlib.sha256(b"other").hexdigest()


def write(folder: Path, text: str) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_lines_comments_and_empty_lines_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, f"# who may what\n\nshop\tpredict,explain   {HASH}\n  ops admin {OTHER}\n")
    shop, ops = read_tokens(path)
    assert shop == Token("shop", frozenset({Right.PREDICT, Right.EXPLAIN}), hashlib.sha256(b"token").digest())
    assert (ops.name, ops.rights) == ("ops", frozenset({Right.ADMIN}))


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    tokens = tuple(Token(right.value, frozenset({right}), digest_of(new_token())) for right in Right)
    assert read_tokens(write(tmp_path, "\n".join(map(line_of, tokens)))) == tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shop predict", "line 1: is not"),
        (f"shop predict {HASH} more", "line 1: is not"),
        (f"\nshop fly {HASH}", "line 2: rights are some of predict, explain, admin"),
        (f"shop , {HASH}", "line 1: rights"),
        (f"sh/op predict {HASH}", "line 1: the name"),
        (f"{'s' * 65} predict {HASH}", "line 1: the name"),
        (f"shop predict {HASH[:-1]}", "line 1: the hash"),
        (f"shop predict {HASH.upper()}", "line 1: the hash"),
        (f"shop predict md5:{'0' * 32}", "line 1: the hash"),
        (f"shop predict {HASH}\nshop explain {HASH}", "line 2: the name is in"),
        ("\n" * (1 << 20) + "\n", "larger than"),
        ("\n".join(f"t{i} predict {HASH}" for i in range(1025)), "1,025 tokens"),
    ],
)
def test_a_line_that_is_not_in_the_format_is_named_and_not_quoted(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_tokens(write(tmp_path, text))
    assert HASH.removeprefix("sha256:") not in str(caught.value)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, f"shop predict {HASH}\n")
    path.chmod(mode)
    with pytest.raises(ValueError, match="can be changed by others"):
        read_tokens(path)


def test_a_file_that_others_may_read_is_used_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, f"shop predict {HASH}\n")
    read_tokens(path)
    assert caplog.text == ""
    path.chmod(0o644)
    assert len(read_tokens(path)) == 1
    assert "can be read by everybody" in caplog.text


def test_only_the_token_itself_is_found() -> None:
    secrets = [new_token() for _ in range(3)]
    tokens = [Token(str(i), frozenset(Right), digest_of(secret)) for i, secret in enumerate(secrets)]
    for i, secret in enumerate(secrets):
        assert find_token(tokens, secret) is tokens[i]
        for wrong in (secret[:-1], secret + "x", secret.upper(), digest_of(secret).hex(), line_of(tokens[i])):
            assert find_token(tokens, wrong) is None
    assert find_token(tokens, "") is None
    assert find_token([], secrets[0]) is None
    assert find_token(tokens, "\udcff") is None


def test_every_entry_is_compared_wherever_the_token_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [new_token() for _ in range(5)]
    tokens = [Token(str(i), frozenset(Right), digest_of(secret)) for i, secret in enumerate(secrets)]
    compared = []

    def counting(compare: Callable[[bytes, bytes], bool]) -> Callable[[bytes, bytes], bool]:
        return lambda a, b: compared.append(a) or compare(a, b)  # type: ignore[func-returns-value]

    import hmac

    monkeypatch.setattr(hmac, "compare_digest", counting(hmac.compare_digest))
    for secret in (secrets[0], secrets[-1], "none"):
        compared.clear()
        find_token(tokens, secret)
        assert compared == [token.digest for token in tokens]


def test_rights_are_words_with_commas() -> None:
    assert parse_rights("predict, explain") == {Right.PREDICT, Right.EXPLAIN}
    for wrong in ("", "predict;explain", "PREDICT", "predict,"):
        with pytest.raises(ValueError, match="rights are some of"):
            parse_rights(wrong)


def test_a_value_follows_its_file_through_links_and_keeps_the_last_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As orchestrators do it: a link that is moved from one folder to the next."""
    for name, text in (("one", "1"), ("two", "2"), ("broken", "x")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "value").write_text(text)
    link, aside = tmp_path / "current", tmp_path / "aside"
    link.symlink_to("one")
    path, reads = link / "value", []

    def read() -> int:
        reads.append(path.read_text())
        return int(reads[-1])

    def point_at(name: str) -> None:
        aside.symlink_to(name)
        aside.replace(link)

    value = Reloaded(read, [path], what="the values", interval_s=3600)

    def looked() -> int:
        value.look()
        return value.value()

    assert [looked(), looked()] == [1, 1]
    assert reads == ["1"]  # not read again for nothing
    point_at("two")
    assert value.value() == 1  # asking for it reads no file
    assert looked() == 2
    point_at("broken")
    assert [looked(), looked()] == [2, 2]
    assert caplog.text.count("the values changed and cannot be used") == 1
    link.unlink()
    assert looked() == 2
    point_at("one")
    assert looked() == 1
    with pytest.raises(ValueError, match="invalid literal"):
        Reloaded(lambda: int("x"), [path], what="the values")


def test_the_command_does_not_add_the_token_with_which_the_file_could_not_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "".join(f"t{i} predict {HASH}\n" for i in range(1023)))
    arguments = ["token", "create", "last", "--rights", "predict", "--tokens", str(path)]
    assert main(arguments) == 0
    assert main([*arguments[:2], "more", *arguments[3:]]) == 2
    assert "1,024 tokens, the most there may be" in capsys.readouterr().err
    assert len(read_tokens(path)) == 1024
