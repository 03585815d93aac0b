"""What a client is made with: defaults of its own, options of the channel, interceptors, and the environment."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import grpc
import pandas as pd
import pytest

import explicate
from explicate import AsyncClient, Client, UsageError
from explicate._wire import calls
from explicate._wire.reach import AIO
from support.canned.canned_kinds import TABLE
from support.canned.canned_server import CannedServer

MANY = ("explain_many", "stream_explain", "watch_models")


class Asker:
    """A client of one flavour, each call of which is run to its end; a stream's answers are a list."""

    def __init__(self, client: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.client, self._loop = client, loop

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def ask(*args: object, **kwargs: object) -> Any:
            answer = getattr(self.client, method)(*args, **kwargs)
            if inspect.isasyncgen(answer):
                return self._loop.run_until_complete(_listed(answer))
            if inspect.iscoroutine(answer):
                return self._loop.run_until_complete(answer)
            return list(answer) if method in MANY else answer

        return ask

    def with_options(self, **changes: Any) -> Asker:
        return Asker(self.client.with_options(**changes), self._loop)


async def _listed(answers: Any) -> list[Any]:
    return [answer async for answer in answers]


@pytest.fixture(params=[Client, AsyncClient])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Asker]]:
    """`make(target, **options)` gives a client whose calls are run to their end."""
    loop, made = asyncio.new_event_loop(), []

    def made_by(*args: Any, **options: Any) -> Asker:
        made.append(Asker(request.param(*args, **options), loop))
        return made[-1]

    made_by.kind = request.param
    made_by.loop = loop
    yield made_by
    for asker in made:
        asker.close()
    loop.close()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The metadata of each call that the canned server got."""
    calls: list[dict[str, Any]] = []
    enter = CannedServer.enter

    def noting(self, request, context):
        calls.append({key: value for key, value in context.invocation_metadata() if not key.startswith("user-agent")})
        enter(self, request, context)

    monkeypatch.setattr(CannedServer, "enter", noting)
    return calls


class TestDefaults:
    def test_a_client_with_a_model_is_asked_without_naming_it(self, make, server):
        reviews = make(server.target).with_options(model="reviews", seed=7, method="kernel-shap", priority="bulk")
        reviews.explain("a b")
        reviews.stream_explain("a b")
        reviews.predict(["a", "b"])
        reviews.explain_many(["a", "b"])
        reviews.get_model()
        explained, streamed, predicted, *many, described = server.requests
        for spec in (explained.spec, streamed.spec, *(each.spec for each in many)):
            assert (spec.model.model, spec.options.seed, spec.options.method) == ("reviews", 7, "kernel-shap")
            assert (spec.input.text.text in ("a b", "a", "b"), spec.priority) == (True, 2)
        assert (predicted.model.model, len(predicted.inputs), predicted.priority) == ("reviews", 2, 2)
        assert described.model == "reviews"

    def test_tables_too(self, make, server):
        columns = {"age": [34.0], "income": [None], "job": ["clerk"], "owner": [True]}
        credit = make(server.target).with_options(model="credit", target=1)
        assert credit.explain_table(columns).attributions[0].class_indices == (1,)
        assert len(credit.predict_table(columns).probabilities) == 1
        assert credit.explain(TABLE.value).model.model

    def test_what_a_call_says_goes_before_a_default_and_none_is_nothing_said(self, make, server):
        client = make(server.target).with_options(model="reviews", seed=7, top_k=3)
        client.explain("entailment", ("a", "b"), seed=8, top_k=None)
        client.with_options(seed=None).explain("a")
        first, second = (request.spec for request in server.requests)
        assert (first.model.model, first.options.seed, first.options.top_k) == ("entailment", 8, 3)
        assert second.options.HasField("seed") is False
        assert second.options.top_k == 3

    def test_a_version_belongs_to_its_model(self, make, server):
        client = make(server.target).with_options(model="reviews", version=3)
        client.predict(["a"])
        client.predict("entailment", [("a", "b")])
        client.predict(["a"], label="canary")
        client.with_options(model="entailment").predict([("a", "b")])
        make(server.target).with_options(label="canary").predict("reviews", ["a"])
        asked = [(each.model.model, each.model.version, each.model.label) for each in server.requests]
        assert asked == [
            ("reviews", 3, ""),
            ("entailment", 0, ""),
            ("reviews", 0, "canary"),
            ("entailment", 0, ""),
            ("reviews", 0, "canary"),
        ]

    def test_timeouts_are_those_of_the_client_that_is_asked(self, make, server):
        client = make(server.target, timeout_s=50)
        client.with_options(timeout_s=5).predict("reviews", ["a"])
        client.predict("reviews", ["a"])
        client.with_options(timeout_s=math.inf).predict("reviews", ["a"])
        quick, slow, endless = server.seconds_left
        assert quick < 6 < slow < 51
        assert endless is None or endless > 1e6

    def test_a_copy_shares_the_connection_and_closing_it_leaves_it_open(self, make, server):
        client = make(server.target)
        copy = client.with_options(timeout_s=5)
        copy.predict("reviews", ["a"])
        copy.close()
        client.predict("reviews", ["a"])
        copy.with_options(seed=1).predict("reviews", ["a"])
        assert copy.client._reach is client.client._reach
        if make.kind is Client:
            assert copy.client._connection is client.client._connection
        else:
            assert copy.client._connections is client.client._connections
            assert len(copy.client._connections) == 1

    def test_metadata_and_token_go_along_with_every_call(self, make, server, seen):
        client = make(server.target, token="first")
        other = client.with_options(metadata={"x-team": "fraud", "trace-bin": b"\x00\xff"}, token="second")
        other.predict("reviews", ["a"], request_id="order-17")
        other.explain_many("reviews", ["a"])
        client.list_models()
        other.with_options(metadata=None).list_models()
        mine = {"authorization": "Bearer second", "x-team": "fraud", "trace-bin": b"\x00\xff"}
        assert seen[0] == {**mine, "x-request-id": "order-17"}
        assert seen[1] == mine
        assert seen[2] == {"authorization": "Bearer first"}
        assert seen[3] == {"authorization": "Bearer second"}

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sed": 1}, "with_options: there is no option 'sed'; did you mean seed?"),
            ({"zzzzzz": 1}, "there is no option 'zzzzzz'; there are .*confidence, "),
            ({"version": 1, "label": "live"}, "a version or a label, not both"),
            ({"metadata": [("x-team", "a")]}, "metadata must be a dict from names to texts, not a list"),
            ({"metadata": {"X-Team": "a"}}, "'X-Team' is not a name"),
            ({"metadata": {"authorization": "Bearer x"}}, "give token= in place of 'authorization'"),
            ({"metadata": {"x-request-id": "x"}}, "give request_id="),
            ({"metadata": {"grpc-timeout": "1S"}}, "not free"),
            ({"metadata": {"x": "line\nbreak"}}, "printable ASCII"),
            ({"metadata": {"x": b"bytes"}}, "bytes go under a name that ends with -bin"),
            ({"metadata": {"x-bin": "text"}}, "must be bytes"),
            ({"token": "with space"}, "the token"),
        ],
    )
    def test_what_cannot_be_is_refused_before_any_call(self, make, server, changes, message):
        with pytest.raises(UsageError, match=message):
            make(server.target).with_options(**changes)
        assert server.requests == []

    @pytest.mark.parametrize("timeout_s", [-1, math.nan, "5"])
    def test_a_timeout_that_cannot_be(self, make, server, timeout_s):
        with pytest.raises(explicate.InvalidArgument, match="timeout_s"):
            make(server.target).with_options(timeout_s=timeout_s)

    def test_a_token_is_not_sent_unencrypted_by_a_copy_either(self, make):
        with pytest.raises(UsageError, match="unencrypted"):
            make("models.internal:8500").with_options(token="abc")

    def test_a_call_without_a_model_says_how_to_give_one(self, make, server):
        client = make(server.target)
        with pytest.raises(UsageError, match=r"explain\(model, value\): give both; name a model, or"):
            client.explain("Great soup!")
        with pytest.raises(UsageError, match="name a model, or give the client one: with_options"):
            client.get_model()
        with pytest.raises(UsageError, match=r"predict\(model, inputs\): the first is the model's name, not a list"):
            client.predict(["a"], ["b"])
        assert server.requests == []

    def test_an_unknown_keyword_is_named_with_the_nearest(self, make, server):
        client = make(server.target)
        with pytest.raises(UsageError, match=r"predict: there is no option 'prioritty'; did you mean priority\?"):
            client.predict("reviews", ["a"], prioritty="bulk")
        with pytest.raises(UsageError, match=r"explain: there is no option 'sed'; did you mean seed\?"):
            client.explain("reviews", "a", sed=1)
        with pytest.raises(UsageError, match="predict: there is no option 'seed'"):
            client.predict("reviews", ["a"], seed=1)


class TestFrames:
    """Tables of other libraries where a row is asked for."""

    def test_a_table_in_place_of_a_row_is_told_where_it_goes(self, make, server):
        with pytest.raises(UsageError, match=r"for a whole table write explain_table"):
            make(server.target).explain("credit", pd.DataFrame([TABLE.value]))
        assert server.requests == []

    def test_columns_of_one_name_are_not_merged_silently(self, make, server):
        twice = pd.DataFrame([[1.0, 2.0]], columns=["age", "age"])
        client = make(server.target)
        for ask in (
            lambda: client.explain("credit", twice.iloc[0]),
            lambda: client.predict("credit", [twice.iloc[0]]),
            lambda: client.predict_table("credit", twice),
            lambda: client.explain_table("credit", twice),
        ):
            with pytest.raises(UsageError, match=r"two columns .*the same name"):
                ask()


class TestChannelOptions:
    def test_they_replace_ours_of_the_same_name(self, make, server):
        client = make(server.target, channel_options={"grpc.max_receive_message_length": 1})
        with pytest.raises(explicate.MessageTooLarge):
            client.predict("reviews", ["a"])
        options = dict(client.client._reach.options)
        assert options["grpc.max_receive_message_length"] == 1
        assert options["grpc.max_send_message_length"] > 1

    @pytest.mark.parametrize("options", [[("a", 1)], {"a": 1.5}, {"a": None}, {1: 1}])
    def test_what_grpc_does_not_take_is_refused(self, make, options):
        with pytest.raises(UsageError, match="channel_options"):
            make("127.0.0.1:1", channel_options=options)


class _Details(grpc.ClientCallDetails):
    """Of a call, with more metadata."""

    def __init__(self, details: Any, metadata: Any) -> None:
        self.method, self.timeout, self.metadata = details.method, details.timeout, metadata
        self.credentials, self.wait_for_ready = details.credentials, details.wait_for_ready
        self.compression = getattr(details, "compression", None)


class Tagged(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds `x-tag` to every call, and notes the methods."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    def intercept_unary_unary(self, continuation, details, request):
        self.methods.append(details.method.rpartition("/")[2])
        return continuation(_Details(details, [*(details.metadata or ()), ("x-tag", "blue")]), request)

    intercept_unary_stream = intercept_unary_unary


class AioTagged(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self) -> None:
        self.methods: list[str] = []

    async def intercept_unary_unary(self, continuation, details, request):
        self.methods.append(details.method.decode().rpartition("/")[2])
        details.metadata.add("x-tag", "blue") if details.metadata is not None else None
        return await continuation(
            details._replace(metadata=grpc.aio.Metadata(*(details.metadata or ()), ("x-tag", "blue"))), request
        )


class Raises(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def intercept_unary_unary(self, continuation, details, request):
        raise self.error


class AioRaises(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def intercept_unary_unary(self, continuation, details, request):
        raise self.error


class TestInterceptors:
    def test_each_call_goes_through_them_those_of_explain_many_too(self, make, server, seen):
        tagged = Tagged() if make.kind is Client else AioTagged()
        client = make(server.target, interceptors=[tagged])
        client.predict("reviews", ["a"])
        outcomes = client.explain_many("reviews", ["a", "b", "c"])
        assert [outcome.result.prediction.label for outcome in outcomes]
        client.with_options(seed=1).explain("reviews", "a")
        assert tagged.methods == ["Predict", *["Explain"] * 4]
        assert {call.get("x-tag") for call in seen} == {"blue"}

    def test_streams_go_through_those_of_streams(self, server, seen):
        tagged = Tagged()
        with Client(server.target, interceptors=[tagged]) as client:
            assert [each.final for each in client.stream_explain("reviews", "a b")][-1]
        assert tagged.methods == ["StreamExplain"]
        assert seen[0]["x-tag"] == "blue"

    def test_what_one_raises_comes_out_as_it_is(self, make, server):
        raises = Raises if make.kind is Client else AioRaises
        client = make(server.target, interceptors=[raises(LookupError("no secret today"))])
        with pytest.raises(LookupError, match="no secret today"):
            client.predict("reviews", ["a"])
        with pytest.raises(LookupError, match="no secret today"):
            client.explain_many("reviews", ["a", "b"])
        assert server.requests == []

    def test_an_error_of_grpc_without_a_code_is_still_typed(self, make, server):
        raises = Raises if make.kind is Client else AioRaises
        client = make(server.target, interceptors=[raises(grpc.RpcError("made up"))])
        with pytest.raises(explicate.ServerError, match=r"did not reach .*: made up; an interceptor raised that"):
            client.predict("reviews", ["a"])

    def test_those_of_the_other_client_are_refused_with_the_name_of_theirs(self, make):
        wrong = AioTagged() if make.kind is Client else Tagged()
        with pytest.raises(UsageError, match=r"interceptors\[1\] is a (Aio)?Tagged; this client takes those of grpc"):
            make("127.0.0.1:1", interceptors=[Tagged() if make.kind is Client else AioTagged(), wrong])
        with pytest.raises(UsageError, match=r"interceptors\[0\] is a function"):
            make("127.0.0.1:1", interceptors=[lambda call: call])

    async def test_a_call_that_explain_many_gives_up_is_cancelled(self, server):
        server.hold = True
        spec = calls.explain("reviews", "a", {}, version=None, label=None, priority=None)
        with Client(server.target, interceptors=[Tagged()]) as client:
            through = AIO.connect(replace(client._reach, through=client._connection))
            asked = asyncio.create_task(through.methods["Explain"](spec.request, timeout=30))
            assert await asyncio.to_thread(server.entered.wait, 10)
            asked.cancel()
            assert await asyncio.to_thread(server.ended.wait, 10)
            with pytest.raises(asyncio.CancelledError):
                await asked


class TestFromEnv:
    @pytest.fixture
    def environ(self, monkeypatch, tmp_path) -> SimpleNamespace:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        for name in ("SERVER", "MODEL", "TOKEN", "CONTEXT"):
            monkeypatch.delenv(f"EXPLICATE_{name}", raising=False)
        (tmp_path / "explicate").mkdir()
        return SimpleNamespace(set=monkeypatch.setenv, file=tmp_path / "explicate" / "config.toml")

    @pytest.fixture(params=[Client, AsyncClient])
    def from_env(self, request) -> Callable[..., Any]:
        return request.param.from_env

    def test_the_environment_says_where_and_what(self, environ, server, seen):
        environ.set("EXPLICATE_SERVER", server.target)
        environ.set("EXPLICATE_MODEL", "reviews")
        environ.set("EXPLICATE_TOKEN", "abc")
        with Client.from_env() as client:
            assert client.explain("a b").text == "a b"
        assert seen == [{"authorization": "Bearer abc"}]

    def test_a_context_of_the_file_does(self, environ, server, from_env):
        environ.file.write_text(
            f'current = "here"\n[contexts.here]\nserver = "{server.target}"\nmodel = "reviews"\n'
            '[contexts.there]\nserver = "models.internal:8500"\n'
        )
        client = from_env(timeout_s=7)
        assert (client.target, client.timeout_s, client._defaults.model) == (server.target, 7, "reviews")
        assert from_env("there").target == "models.internal:8500"
        assert from_env("there")._defaults.model is None
        with pytest.raises(UsageError, match=r"there is no context 'ther'; did you mean there or here"):
            from_env("ther")

    def test_nothing_said_is_this_machine(self, environ, from_env):
        assert from_env().target == "127.0.0.1:8500"

    def test_it_owns_its_connection(self, environ, server):
        environ.set("EXPLICATE_SERVER", server.target)
        environ.set("EXPLICATE_MODEL", "reviews")
        client = Client.from_env()
        client.close()
        with pytest.raises((explicate.Cancelled, ValueError)):
            client.predict(["a"])
