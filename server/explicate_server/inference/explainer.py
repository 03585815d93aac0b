"""Explanations: admitted, checked, and told to observers before they leave.

Two in flight share the batcher, and two of one caller the values of coalitions that both ask for.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from explicate_bundle.model_inputs import ModelInput
from explicate_server.call_record import CallRecord, current_call
from explicate_server.inference.admission import Admission
from explicate_server.inference.evaluations import ValueStore
from explicate_server.inference.explain_call import ExplainCall
from explicate_server.inference.explain_options import ExplainOptions, check_options
from explicate_server.inference.explain_work import ExplainAnswer
from explicate_server.inference.table_answer import TableAnswer
from explicate_server.inference.table_call import TableCall, check_shared
from explicate_server.inference.workers import Workers
from explicate_server.modalities.rows.packed_table import PackedTable
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.settings import Settings


@dataclass(frozen=True)
class Explained:
    """The final answer about an input, the version that gave it, and the call that asked for it."""

    served: ServedModel
    value: ModelInput
    answer: ExplainAnswer
    call: CallRecord


@dataclass(frozen=True)
class ExplainedTable:
    """The answer about a table, the version that gave it, and the call that asked for it.

    ``digest`` computes the SHA-256 of the table as it was sent, which takes a while.
    """

    served: ServedModel
    table: PackedTable
    digest: Callable[[], bytes]
    answer: TableAnswer
    call: CallRecord


class Observer(Protocol):
    """What is told of explanations."""

    async def explained(self, told: Explained) -> None:
        """An answer is about to leave; it waits for this, which must not raise."""

    async def table_explained(self, told: ExplainedTable) -> None:
        """The same of the answer about a table."""


class Explainer:
    """Computes explanations; one for the whole server. ``workers`` runs what would hold up the event loop."""

    def __init__(
        self, settings: Settings, workers: Workers, admission: Admission, observers: Sequence[Observer] = ()
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._admission = admission
        self._observers = observers
        self.store = ValueStore(settings.max_memo_bytes)

    async def explain(
        self,
        served: ServedModel,
        value: ModelInput,
        options: ExplainOptions,
        *,
        caller: str,
        priority: Priority,
        time_left_s: float,
        field_path: str,
        progress: Callable[[], bool],
    ) -> AsyncGenerator[ExplainAnswer]:
        """Yield an answer after each round at which ``progress`` says yes, and the final one last.

        ``time_left_s`` is what the caller's deadline leaves, ``caller`` whose shares and evaluations they take.

        Closing the iterator, or cancelling the task that waits for it, drops the rows that have not started.

        Raises:
            InvalidRequest, NotServable: the options or the input do not fit.
            Overloaded: too many explanations are in progress, in all or of the caller.
            DeadlinePassed: time was over before the prediction was there.
            ModelFault: the model failed on one of the rows.
        """
        checked = check_options(options, choices=served.choices, settings=self._settings)
        with self._admission.explanation(caller) as seat:
            call = ExplainCall(
                served,
                checked,
                caller=caller,
                priority=priority,
                time_limit_s=min(time_left_s, checked.time_limit_s),
                workers=self._workers,
                store=self.store,
            )
            async with aclosing(call.answers(value, field_path, seat, progress)) as answers:
                async for answer in answers:
                    record = current_call.get()
                    # A shadow's answers go to nobody and have no record: they are neither counted nor audited.
                    if answer.final and record is not None:
                        for observer in self._observers:
                            await observer.explained(Explained(served, value, answer, record))
                    yield answer

    async def explain_table(
        self,
        served: ServedModel,
        table: PackedTable,
        options: ExplainOptions,
        *,
        digest: Callable[[], bytes],
        caller: str,
        priority: Priority,
        time_left_s: float,
    ) -> TableAnswer:
        """Predict and explain every row of a table; see :meth:`explain`, and `ExplainedTable` for ``digest``.

        Raises:
            InvalidRequest, NotServable: the options or the table do not fit; paths are ``table.columns[income]…``.
            Overloaded: too many explanations are in progress, in all or of the caller.
            DeadlinePassed: time was over before anything was known beside the predictions.
            ModelFault: the model failed on one of the rows.
        """
        checked = check_options(options, choices=served.choices, settings=self._settings)
        check_shared(checked)
        with self._admission.explanation(caller) as seat:
            call = TableCall(
                served,
                checked,
                caller=caller,
                priority=priority,
                time_limit_s=min(time_left_s, checked.time_limit_s),
                workers=self._workers,
                settings=self._settings,
            )
            answer = await call.answer(table, seat)
            record = current_call.get()
            if record is not None:
                for observer in self._observers:
                    await observer.table_explained(ExplainedTable(served, table, digest, answer, record))
            return answer
