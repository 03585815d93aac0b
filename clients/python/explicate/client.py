"""The blocking client, made from `async_client.py` by `make client`: edit that.

Safe to share between threads. Every method raises the exceptions of `explicate.errors`; `explicate.async_client` has
the same methods as coroutines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Literal, Self, TypeVar, Unpack

import grpc

from explicate._wire import calls
from explicate._wire.calls import Call
from explicate._wire.channel import (
    POLL_INTERVAL_S,
    ReadyWait,
    call_timeout,
    slow_s,
)
from explicate._wire.encoding import TableColumns
from explicate._wire.reach import BLOCKING
from explicate._wire.rpc_errors import from_rpc_error
from explicate._wire.table_calls import TABLES_IN_FLIGHT, TableCalls
from explicate.async_client import AsyncClient
from explicate.bulk.in_flight import MOST, InFlight
from explicate.bulk.in_thread import in_thread
from explicate.bulk.many import Inputs, Outcome
from explicate.client_setup import ClientSetup
from explicate.inputs import Input
from explicate.model_info import ModelChanges, ModelDescription, ModelStatus, Switched, Traffic
from explicate.options import CallOptions, ExplainCallOptions
from explicate.results import ExplainResult, PackedResult, PredictResult
from explicate.table_results import TableResult

_Input = TypeVar("_Input")
_Answer = TypeVar("_Answer")


class Client(ClientSetup):
    """Asks one Explicate server; use it in a `with` statement, or call `close`.

    target: "host:port", or any gRPC name such as "dns:///models.internal:8500", whose addresses share the calls.
    timeout_s: seconds each call may take unless it says otherwise; `math.inf` sets no deadline.
    tls: True, or the files of `explicate.Tls`, for a server with TLS; without it the channel is plain.
    credentials: a gRPC channel's own, in place of `tls`.
    token: goes along with every call; not sent to another machine unencrypted unless `allow_plain_token` says so.
    affinity: send a digest of the input with explanations: deploy/envoy then brings those of one input to one server.
    channel_options: of gRPC, by name, such as {"grpc.keepalive_time_ms": 60000}; they replace ours of the same name.
    interceptors: of grpc, the first one outermost.

    A call that changes nothing is asked again while the server is away: within its timeout if the server has answered
    before, else four times within a second; and elsewhere, if one of several addresses has no room for it.
    """

    _flavour = BLOCKING

    def _open(self) -> None:
        self._connection = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way are cancelled. One made by `with_options` leaves it open."""
        if not self._is_copy:
            self._connection.channel.close()

    def predict(
        self,
        model: str | Sequence[Input] | None = None,
        inputs: Sequence[Input] | None = None,
        **how: Unpack[CallOptions],
    ) -> PredictResult:
        """Score inputs, in order, by the live version of `model`, or the `version` or `label` given.

        `model` is left out of this and the calls below by a client that has one, see `with_options`.

        inputs: values of `explicate.inputs.Input`, all of the kind that the model reads.
        how: the keywords of `explicate.CallOptions`: version, label, priority, request_id, timeout_s.
        """
        asked = self._defaults.asked("predict", model, inputs, how)
        return self._ask(calls.predict(asked.model, asked.value, **asked.how), asked.timeout_s)

    def predict_table(
        self, model: str | TableColumns | None = None, columns: TableColumns | None = None, **how: Unpack[CallOptions]
    ) -> PackedResult:
        """Score the rows of a table in packed form, which is less to send and to convert than with `predict`.

        columns: from every column's name to its values, or a DataFrame; None and NaN are missing.
        """
        asked = self._defaults.asked("predict_table", model, columns, how)
        return self._ask(calls.predict_table(asked.model, asked.value, **asked.how), asked.timeout_s)

    def explain(
        self, model: Input | None = None, value: Input | None = None, **options: Unpack[ExplainCallOptions]
    ) -> ExplainResult:
        """Predict one input and say what each word, column or segment of it adds.

        The options are those of `explicate.ExplainOptions` and of `explicate.CallOptions`.

        When the time runs out, the answer is the best estimate so far, with `stop_reason` "deadline".
        """
        asked = self._defaults.asked("explain", model, value, options)
        return self._ask(calls.explain(asked.model, asked.value, asked.options, **asked.how), asked.timeout_s)

    def stream_explain(
        self, model: Input | None = None, value: Input | None = None, **options: Unpack[ExplainCallOptions]
    ) -> Generator[ExplainResult]:
        """Like `explain`, with estimates that get better while they come; the last one has `final` set.

        Closing the generator cancels the call, and the server
        stops working on it.
        """
        asked = self._defaults.asked("stream_explain", model, value, options)
        call = calls.explain(asked.model, asked.value, asked.options, **asked.how, stream=True)
        return self._stream(call, asked.timeout_s)

    def explain_many(
        self,
        model: str | Inputs[Input] | None = None,
        inputs: Inputs[Input] | None = None,
        *,
        in_flight: int | Literal["auto"] = "auto",
        most_in_flight: int = MOST,
        rate: float | None = None,
        patience_s: float | None = None,
        ordered: bool = True,
        **options: Unpack[ExplainCallOptions],
    ) -> Generator[Outcome[Input, ExplainResult]]:
        """Explain many inputs, with a call for each and as many at once as the servers take.

        Each `Outcome` has the result or the error of its input, and costs the others nothing. An error that all would
        have, such as a wrong option, model or token, ends the generator, and so does closing it, with all calls.

        inputs: also an endless iterator; it is read as outcomes are taken.
        in_flight: how many at once: a number, or "auto", which grows while calls succeed, up to `most_in_flight`, and
            is halved when a server has no room.
        rate: inputs a second at most.
        patience_s: seconds to go on asking while no server answers or has room. Default: 300, and none for a server
            that has never answered.
        ordered: False gives outcomes as they are done; `Outcome.index` is an input's place.
        options: as for `explain`; the priority is "bulk" unless it is given, and timeout_s that of each call.
        """
        asked = self._defaults.asked("explain_many", model, inputs, options, priority="bulk")
        window = InFlight(
            in_flight,
            most=most_in_flight,
            rate=rate,
            patience_s=patience_s,
            has_answered=self._reach.retries.has_answered,
            slow_s=slow_s(asked.timeout_s, self.timeout_s),
        )

        def call_of(value: Input) -> Call[ExplainResult]:
            return calls.explain(asked.model, value, asked.options, **asked.how)

        calls.check_many(asked.value)
        return self._many(call_of, asked.value, window, ordered=ordered, timeout_s=asked.timeout_s)

    def explain_table(
        self,
        model: str | TableColumns | None = None,
        columns: TableColumns | None = None,
        *,
        rows_per_call: int | None = None,
        in_flight: int = TABLES_IN_FLIGHT,
        **options: Unpack[ExplainCallOptions],
    ) -> TableResult:
        """Explain all rows of a table, which costs less than a call for each; `columns` are as for `predict_table`.

        The methods are exact-shap, kernel-shap and those that `auto` takes. A table of more rows than a server takes in
        a call goes in pieces, `in_flight` at once and all to one version; `timeout_s` is each call's.
        """
        asked = self._defaults.asked("explain_table", model, columns, options)
        version, label = asked.how["version"], asked.how["label"]
        described = self.get_model(asked.model, version=version, label=label, timeout_s=asked.timeout_s)
        table = TableCalls(described, asked.value, asked.options, asked.how, rows_per_call=rows_per_call)
        if len(table.pieces) == 1:
            return self._ask(table.call_of(table.pieces[0]), asked.timeout_s)
        window = InFlight(in_flight, has_answered=True)
        many = self._many(table.call_of, table.pieces, window, ordered=True, timeout_s=asked.timeout_s)
        with closing(many) as outcomes:
            return table.joined([outcome.result for outcome in outcomes])

    def list_models(self, *, timeout_s: float | None = None) -> tuple[ModelStatus, ...]:
        """Every model version the server knows, by name and version, the broken ones included."""
        return self._ask(calls.list_models(), timeout_s)

    def get_model(
        self,
        name: str | None = None,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> ModelDescription:
        """One version of a model in full; the live one if neither `version` nor `label` is given."""
        model = self._defaults.named(name)
        which = self._defaults.version_of(model, {"version": version, "label": label})
        return self._ask(calls.get_model(model, **which), timeout_s)

    def list_models_page(
        self, page_size: int, page_token: str = "", *, timeout_s: float | None = None
    ) -> tuple[tuple[ModelStatus, ...], str]:
        """At most `page_size` versions, and the token for the page after them; it is empty on the last page."""
        return self._ask(calls.list_page(page_size, page_token), timeout_s)

    def load_model(
        self,
        name: str,
        *,
        version: int | None = None,
        override_standard: str | None = None,
        timeout_s: float | None = None,
    ) -> ModelStatus:
        """Load a version beside those that serve, by default the newest; it gets no label.

        This and the changes below run to their end on the server, even when the call times out before.
        override_standard: why the version is to serve even if it does not meet the standard that the server requires;
        for a token with the right override-standard, and written to the server's audit log.
        """
        return self._ask(calls.load(name, version=version, override_standard=override_standard), timeout_s)

    def unload_model(self, name: str, version: int, *, timeout_s: float | None = None) -> ModelStatus:
        """Take a version without labels out of memory, once the requests it answers are done."""
        return self._ask(calls.unload(name, version), timeout_s)

    def activate_version(
        self,
        name: str,
        version: int,
        *,
        label: str = "live",
        expected_version: int | None = None,
        override_standard: str | None = None,
        timeout_s: float | None = None,
    ) -> Switched:
        """Point a label at a version, which is verified and loaded first; a failure leaves the label where it was.

        expected_version: where the label must point now, 0 for nowhere; `Aborted` when it does not.
        override_standard: as of `load_model`.
        """
        call = calls.activate(
            name, version, label=label, expected_version=expected_version, override_standard=override_standard
        )
        return self._ask(call, timeout_s)

    def rollback_model(
        self, name: str, *, label: str = "live", expected_version: int | None = None, timeout_s: float | None = None
    ) -> Switched:
        """Point a label back at the version it pointed at before."""
        return self._ask(calls.roll_back(name, label=label, expected_version=expected_version), timeout_s)

    def remove_label(
        self, name: str, label: str, *, expected_version: int | None = None, timeout_s: float | None = None
    ) -> ModelStatus:
        """Remove a label; the version that had it leaves the memory unless another label holds it."""
        return self._ask(calls.remove_label(name, label, expected_version=expected_version), timeout_s)

    def set_traffic(
        self, name: str, *, canary_share: float = 0.0, shadow_share: float = 0.0, timeout_s: float | None = None
    ) -> Traffic:
        """Say what the version labelled "canary" gets of the requests that name no version; see `Traffic`."""
        call = calls.set_traffic(name, canary_share=canary_share, shadow_share=shadow_share)
        return self._ask(call, timeout_s)

    def watch_models(self, name: str | None = None, *, timeout_s: float | None = None) -> Generator[ModelChanges]:
        """Every version's state, then every change, of one model or of all; `math.inf` watches without an end."""
        return self._stream(calls.watch(name), timeout_s)

    def health(self, *, model: str | None = None, alive: bool = False, timeout_s: float | None = None) -> str:
        """ "serving" or "not-serving": whether any model answers, or `model`; with `alive` whether the process does.

        Raises NotFound for a model that the server does not know.
        """
        return self._ask(calls.health(model, alive=alive), timeout_s)

    def wait_ready(self, *, model: str | None = None, timeout_s: float | None = None) -> None:
        """Return once the server serves `model`, or any model; DeadlineExceeded says what it was still doing."""
        wait = ReadyWait(self.target, model, call_timeout(timeout_s, self.timeout_s))
        while not wait.is_over(self._ask(calls.list_models(), wait.left_s, wait_for_ready=True)):
            time.sleep(POLL_INTERVAL_S)  # no event could tell: the server is another process

    def _many(
        self,
        call_of: Callable[[_Input], Call[_Answer]],
        inputs: Inputs[_Input],
        window: InFlight,
        *,
        ordered: bool,
        timeout_s: float | None,
    ) -> Generator[Outcome[_Input, _Answer]]:
        twin = AsyncClient()
        twin._reach, twin._defaults = self._reach, self._defaults
        if self._reach.interceptors:  # which only a blocking connection has
            twin._reach = replace(self._reach, through=self._connection)
        return in_thread(
            lambda values: twin._many(call_of, values, window, ordered=ordered, timeout_s=timeout_s),
            inputs,
            close=twin.close,
        )

    def _ask(
        self, call: Call[_Answer], timeout_s: float | None, *, wait_for_ready: bool | None = None, waits: bool = True
    ) -> _Answer:
        attempts = self._reach.retries.attempts(call.method, call_timeout(timeout_s, self.timeout_s), waits=waits)
        send, metadata = self._connection.methods[call.method], self._metadata(call)
        while True:
            try:
                response = send(call.request, timeout=attempts.left_s, wait_for_ready=wait_for_ready, metadata=metadata)
            except grpc.RpcError as error:
                failure = from_rpc_error(error, self.target)
                pause_s = attempts.pause_s(failure)
                if pause_s is None:
                    raise failure from error
                time.sleep(pause_s)
            else:
                attempts.answered()
                return call.answer(response)

    def _stream(self, call: Call[_Answer], timeout_s: float | None) -> Generator[_Answer]:
        attempts = self._reach.retries.attempts(call.method, call_timeout(timeout_s, self.timeout_s))
        send, metadata = self._connection.methods[call.method], self._metadata(call)
        while True:
            responses = send(call.request, timeout=attempts.left_s, metadata=metadata)
            has_begun = False
            try:
                for response in responses:
                    if not has_begun:
                        has_begun = True
                        attempts.answered()
                    yield call.answer(response)
            except grpc.RpcError as error:
                failure = from_rpc_error(error, self.target)
                pause_s = None if has_begun else attempts.pause_s(failure)
                if pause_s is None:
                    raise failure from error
            else:
                return
            finally:
                responses.cancel()  # does nothing to a call that has ended
            time.sleep(pause_s)
