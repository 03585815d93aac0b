"""Explanations: admitted, checked and counted; two in flight share the batcher, and the values of coalitions that both
ask for.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from explicate_bundle.inputs import ModelInput
from explicate_server.call_record import current_call
from explicate_server.inference.admission import Admission
from explicate_server.inference.evaluations import ValueStore
from explicate_server.inference.explain_call import ExplainAnswer, OneExplanation
from explicate_server.inference.explain_options import ExplainOptions, resolve
from explicate_server.inference.workers import Workers
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.settings import Settings
from explicate_server.telemetry.audit_log import AuditLog, audit_entry
from explicate_server.telemetry.metrics import Metrics


class Explainer:
    """Computes explanations; one for the whole server. ``workers`` runs what would hold up the event loop."""

    def __init__(
        self, settings: Settings, workers: Workers, admission: Admission, metrics: Metrics, audit: AuditLog | None
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._admission = admission
        self._metrics = metrics
        self._audit = audit
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

        ``time_left_s`` is what the caller's deadline leaves, ``caller`` whose evaluations they are.

        Closing the iterator, or cancelling whoever waits for it, drops the rows that have not started.

        Raises:
            InvalidRequest, NotServable: the options or the input do not fit.
            Overloaded: too many explanations are in progress, in all or of the caller.
            DeadlinePassed: time was over before the prediction was there.
            ModelFault: the model failed on one of the rows.
        """
        with_budget = resolve(options, choices=served.choices, settings=self._settings)
        with self._admission.explanation(caller) as seat:
            work = OneExplanation(
                served,
                with_budget,
                priority=priority,
                time_limit_s=min(time_left_s, with_budget(0).time_limit_s),
                workers=self._workers,
                store=self.store,
            )
            async with aclosing(work.answers(value, field_path, seat, progress)) as answers:
                async for answer in answers:
                    # What a shadow finds is for nobody: it is neither counted nor audited as an answer.
                    if answer.final and current_call.get() is not None:
                        self._count(answer)
                        await self._note(served, value, answer)
                    yield answer

    async def _note(self, served: ServedModel, value: ModelInput, answer: ExplainAnswer) -> None:
        call = current_call.get()
        if self._audit is not None and call is not None:  # a shadow's answers go to nobody
            with_input = self._settings.audit_inputs
            await self._audit.write(audit_entry(served, value, answer, call, with_input=with_input))

    def _count(self, answer: ExplainAnswer) -> None:
        self._metrics.explanation_ended(
            method=answer.options.method.name,
            stop_reason=answer.stop_reason.value,
            evaluations=answer.evaluations,
            reused=answer.reused_evaluations,
        )
