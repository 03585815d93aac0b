"""`explicate context`, which server a command asks, what it says of wrong words, and where it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from explicate.cli import main
from support.command_line import documents, in_terminal


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    """The file of contexts, which does not exist yet; no variable names a server."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("EXPLICATE_SERVER", "EXPLICATE_CONTEXT", "EXPLICATE_MODEL", "EXPLICATE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "explicate" / "config.toml"


@pytest.fixture
def run(capsys):
    def run(*argv):
        try:
            code = main.main(argv)
        except SystemExit as left:  # argparse's own
            code = left.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


class TestContexts:
    def test_a_context_is_set_used_and_asked(self, config, run, server):
        code, out, err = run("context", "set", "local", "--server", server.target, "--model", "reviews", "--use")
        assert (code, out) == (0, "")
        assert err == f"explicate: local is {server.target}\n"
        assert run("predict", "soup")[0] == 0
        assert server.requests[-1].model.model == "reviews"
        assert run("predict", "soup", "--model", "credit")[0] != 1
        assert server.requests[-1].model.model == "credit"

    def test_the_environment_and_flags_go_before_it(self, config, run, server, monkeypatch):
        run("context", "set", "away", "--server", "127.0.0.1:1", "--model", "reviews", "--use")
        assert run("predict", "soup", "--server", server.target, "--model", "tea")[0] == 0
        monkeypatch.setenv("EXPLICATE_SERVER", server.target)
        monkeypatch.setenv("EXPLICATE_MODEL", "coffee")
        assert run("predict", "soup")[0] == 0
        assert [request.model.model for request in server.requests] == ["tea", "coffee"]
        code, _, err = run("predict", "soup", "--context", "away", "--timeout", "1")
        assert code == 3
        assert err.endswith("is it running there? (context away)\n")

    def test_the_list_says_which_is_asked(self, config, run):
        run("context", "set", "a", "--server", "a:1", "--use")
        run("context", "set", "schöne 🍜", "--server", "b:1", "--model", "tea")
        code, out, err = run("context", "-o", "table")
        lines = out.splitlines()
        assert (code, err) == (0, "")
        assert [line.split() for line in lines[:2]] == [["NAME", "SERVER", "MODEL"], ["*", "a", "a:1"]]
        assert documents(run("context", "list", "-o", "json")[1])[1] == {
            "name": "schöne 🍜",
            "current": False,
            "server": "b:1",
            "model": "tea",
        }

    def test_a_key_is_changed_and_taken_away(self, config, run, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        run("context", "set", "a", "--server", "a:1", "--token-file", "token", "--tls")
        run("context", "set", "a", "--token-env", "TOKEN", "--no-tls", "--model", "tea")
        assert documents(run("context", "show", "a", "-o", "json")[1])[0] == {
            "name": "a", "current": False, "server": "a:1", "model": "tea", "token_env": "TOKEN",
        }  # fmt: skip
        run("context", "set", "a", "--model", "", "--token-file", "token")
        shown = documents(run("context", "show", "a", "-o", "json")[1])[0]
        assert shown == {"name": "a", "current": False, "server": "a:1", "token_file": str(tmp_path / "token")}

    def test_one_that_is_deleted_is_not_asked_any_more(self, config, run):
        run("context", "set", "a", "--server", "a:1", "--use")
        assert run("context", "delete", "a") == (0, "", "explicate: a is forgotten; no context is in use now\n")
        assert run("context", "show")[0] == 2
        code, out, err = run("context", "list")
        assert (code, out, err) == (
            0, "", "explicate: there are no contexts; explicate context set NAME --server HOST:PORT\n"
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (["set", "a"], "needs a server"),
            (["set", "", "--server", "a:1"], "needs a name"),
            (["set", "a\n", "--server", "a:1"], "needs a name"),
            (["set", "a", "--server", ""], "needs a server"),
            (["set", "a", "--server", "a:1", "--tls-cert", "c"], "belong together"),
            (["set", "a", "--server", "a:1", "--token-file", "f", "--token-env", "E"], "give one of them"),
            (["set", "a", "--server", "a\udc80:1"], "UTF-8"),
            (["use", "lcoal"], "did you mean local?"),
            (["delete", "nothing"], "there is no context 'nothing'"),
        ],
    )
    def test_what_cannot_be_is_one_sentence_and_changes_nothing(self, config, run, given, told):
        run("context", "set", "local", "--server", "127.0.0.1:1")
        before = config.read_bytes()
        code, out, err = run("context", *given)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert told in err
        assert config.read_bytes() == before

    def test_a_broken_file_is_in_the_way_only_where_it_is_asked(self, config, run, server):
        config.parent.mkdir()
        config.write_bytes(b'current = "a"\r\n[contexts.a]\r\nserver = x\r\n')
        code, _, err = run("predict", "soup")
        assert code == 2
        assert f"{config} is not valid TOML: " in err
        assert "line 3" in err
        assert run("predict", "soup", "--server", server.target, "--model", "reviews")[0] == 0
        assert run("context", "set", "b", "--server", "b:1")[0] == 2

    def test_a_server_and_a_context_are_one_too_many(self, config, run):
        run("context", "set", "a", "--server", "a:1")
        code, _, err = run("predict", "soup", "--server", "b:1", "--context", "a")
        assert (code, "give one of them" in err) == (2, True)


class TestMeant:
    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (["modles"], "explicate: error: there is no command 'modles'; did you mean models?"),
            (["models", "shw"], "explicate models: error: there is no action 'shw'; did you mean show?"),
            (["predict", "--modle", "x", "soup"], "explicate predict: error: unrecognized arguments: --modle"),
            (["predict", "--modle=x", "soup"], "did you mean --model?"),
            (["models", "list", "--sever", "x:1"], "explicate models list: error: unrecognized arguments"),
            (["models", "list", "--sever", "x:1"], "did you mean --server?"),
            (["explain", "soup", "--granularity", "words"], "'words' is not one of word, token"),
            (["explain", "soup", "--granularity", "words"], "did you mean word?"),
            (["--versoin"], "did you mean --version?"),
            (["serv"], "did you mean serve?"),
        ],
    )
    def test_a_wrong_word_is_answered_with_the_nearest(self, config, run, given, told):
        code, out, err = run(*given)
        assert (code, out) == (2, "")
        assert told in err

    def test_help_lists_the_commands_whatever_follows(self, run):
        whole = run("--help")
        assert "serve " in whole[1]
        assert run("--help", "predict") == run("-h", "health") == whole

    def test_the_columns_of_a_row_are_compared(self, explicate):
        code, _, err = explicate("predict", "--model", "credit", "--row", "age=34,incom=1,Job=clerk,owner=true")
        assert (code, err.endswith("which the model does not read (did you mean income, job?)\n")) == (1, True)

    def test_a_word_like_no_other_has_no_advice(self, config, run):
        _, _, err = run("xyzzy")
        assert "did you mean" not in err


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_script_knows_every_command(self, run, shell):
        code, out, err = run("completion", shell)
        assert (code, err) == (0, "")
        for word in ("predict", "rollback", "--in-flight", "explicate completion --list models"):
            assert word in out

    def test_bash_completes_commands_options_names_and_files(self, run, tmp_path):
        (tmp_path / "completion.bash").write_text(run("completion", "bash")[1])
        (tmp_path / "texts.txt").write_text("")
        program = """
        explicate() { echo reviews; }
        source ./completion.bash
        complete_last() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
            _shtab_explicate; echo "${COMPREPLY[*]}"
        }
        complete_last explicate mode
        complete_last explicate models sho
        complete_last explicate predict --mod
        complete_last explicate predict --model r
        complete_last explicate models show r
        complete_last explicate predict --file tex
        complete_last explicate explain --granularity sen
        """
        done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
        words = ["models", "show", "--model", "reviews", "reviews", "texts.txt", "sentence"]
        assert done.stdout.splitlines() == words

    def test_names_come_from_the_server_and_the_file(self, config, run, server):
        run("context", "set", "local", "--server", server.target, "--use")
        assert run("completion", "--list", "models") == (0, "reviews\n", "")
        assert run("completion", "--list", "labels") == (0, "live\n", "")
        assert run("completion", "--list", "methods") == (0, "kernel-shap\nlime\n", "")
        assert run("completion", "--list", "contexts") == (0, "local\n", "")

    def test_a_name_that_a_shell_would_run_is_not_offered(self, config, run, server):
        for name in ("good", "soup 🍜", "🍜", "$(touch x)", "`touch x`", "a;b"):
            run("context", "set", name, "--server", server.target)
        assert run("completion", "--list", "contexts") == (0, "good\n🍜\n", "")

    @pytest.mark.parametrize("names", ["models", "labels", "methods"])
    def test_without_a_server_nothing_is_offered_and_nothing_is_said(self, config, run, names):
        code, out, err = run("completion", "--list", names, "--server", "127.0.0.1:1")
        assert (code, out, err) == (0, "", "")


class TestTables:
    def test_table_is_text_and_wide_has_more(self, explicate):
        assert explicate("predict", "-o", "table", "soup")[1] == explicate("predict", "--format", "text", "soup")[1]
        assert explicate("predict", "-o", "wide", "x" * 80)[1].splitlines() == [
            f"LABEL  other  great  {'TEXT'}",
            f"other  0.900  0.100  {'x' * 80}",
        ]
        assert "BUNDLE DIGEST" in explicate("models", "-o", "wide")[1].splitlines()[0]
        assert "BUNDLE DIGEST" not in explicate("models", "list", "-o", "table")[1].splitlines()[0]

    def test_wide_lists_every_word(self, explicate):
        words = "a b c d e f g h i j k l m n o p q r s t"
        table, wide = (explicate("explain", "-o", form, "--top", "2", words)[1] for form in ("table", "wide"))
        assert len(wide.splitlines()) > len(table.splitlines()) + 10

    def test_forty_columns_are_enough(self, server):
        for words in (["explain", "great soup 🍜 soup"], ["models"], ["models", "show", "reviews"], ["--help"]):
            code, out = in_terminal(*words, COLUMNS="40", EXPLICATE_SERVER=server.target)
            assert (code, "Traceback" in out) == (0, False)


class TestQuiet:
    def test_notes_are_left_out_and_errors_stay(self, explicate, tmp_path):
        (tmp_path / "rows.csv").write_text("age,income,job,owner,other\n34,1.5,clerk,true,1\nx,1,clerk,true,1\n")
        given = ("predict", "--model", "credit", "--csv", str(tmp_path / "rows.csv"))
        code, out, err = explicate(*given)
        assert err.splitlines()[0].startswith("explicate: note: the column other left out")
        assert explicate(*given, "--quiet") == (code, out, "\n".join(err.splitlines()[1:]) + "\n")
        assert "row 2: " in err
        assert explicate(*given)[2] == err, "the next command is not quiet"

    def test_a_stream_says_nothing_of_its_estimates(self, explicate):
        assert explicate("explain", "--stream", "-o", "table", "soup")[2]
        assert explicate("explain", "--stream", "-o", "table", "soup", "--quiet")[2] == ""


class TestProcesses:
    """Where strangers run it."""

    def started(self, words: str, server, **environ: str) -> subprocess.CompletedProcess[str]:
        """A shell's command line with explicate in it."""
        command = f'explicate() {{ "{sys.executable}" -m explicate "$@"; }}; set -o pipefail; {words}'
        kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CONFIG_HOME")}
        variables = {**kept, "EXPLICATE_SERVER": server.target, **environ}
        return subprocess.run(["bash", "-c", command], env=variables, capture_output=True, text=True)

    def test_no_home_no_locale_and_no_stdin(self, server):
        done = self.started("explicate predict 'schöne 🍜' -o json <&-", server, LANG="C", LC_ALL="C")
        assert (done.returncode, done.stderr) == (0, "")
        assert documents(done.stdout)[0]["text"] == "schöne 🍜"
        done = self.started("explicate predict - <&-", server)
        assert (done.returncode, done.stderr) == (2, "explicate: there is no standard input to read: it is closed\n")

    def test_a_reader_that_leaves_is_no_trace(self, server, tmp_path):
        (tmp_path / "texts").write_text("soup\n" * 5000)
        done = self.started(f"explicate predict --file {tmp_path / 'texts'} -o json | head -n 1", server)
        assert (len(done.stdout.splitlines()), done.stderr) == (1, "")

    @pytest.mark.parametrize("words", ["models -o json", "--help", "predict --help", "completion bash"])
    def test_a_reader_that_reads_nothing_is_no_trace(self, server, words):
        assert self.started(f"explicate {words} | true", server).stderr == ""

    def test_a_home_that_cannot_be_written_is_one_sentence(self, server, tmp_path):
        (tmp_path / "file").write_text("")
        done = self.started("explicate context set a --server b:1", server, XDG_CONFIG_HOME=str(tmp_path / "file"))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "cannot write" in done.stderr
