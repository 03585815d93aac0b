"""What Explain and StreamExplain must answer."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import explicate
from contract.contract_calls import CLOSE, LONG_TEXT, SHORT_TEXT, TEXTS, UNICODE_TEXT, Contract, logits, values


class ExplanationContract(Contract):
    """Values, seeds, budgets and streams of explanations."""

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    def test_explained_prediction_equals_that_of_predict(self, client, model, method):
        for text in TEXTS[:4]:
            explained = client.explain(model, text, method=method, max_evaluations=64)
            (predicted,) = client.predict(model, [text]).predictions
            assert explained.prediction.label == predicted.label
            assert logits(explained.prediction) == pytest.approx(logits(predicted), abs=CLOSE)
            assert explained.model == client.predict(model, [text]).model

    @pytest.mark.parametrize("space", ["probability", "logit"])
    @pytest.mark.parametrize("text", [SHORT_TEXT, LONG_TEXT, UNICODE_TEXT, "soup"])
    def test_kernel_shap_values_add_up_to_the_output(self, client, model, text, space):
        result = client.explain(model, text, method="kernel-shap", output_space=space, target=explicate.ALL)
        assert [a.class_label for a in result.explanation.attributions] == ["other", "great"]
        for attribution, score in zip(result.explanation.attributions, result.prediction.scores, strict=True):
            assert attribution.instance_value == pytest.approx(getattr(score, space), abs=CLOSE)
            difference = attribution.instance_value - attribution.baseline_value
            assert sum(attribution.values) == pytest.approx(difference, abs=CLOSE)
        assert result.explanation.quality.additivity_gap == pytest.approx(0, abs=CLOSE)

    def test_values_of_all_probabilities_cancel_out(self, client, model):
        result = client.explain(model, LONG_TEXT, target=explicate.ALL)
        other, great = (attribution.values for attribution in result.explanation.attributions)
        assert [a + b for a, b in zip(other, great, strict=True)] == pytest.approx([0] * len(great), abs=CLOSE)

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    def test_features_stand_where_their_spans_say(self, client, model, method):
        result = client.explain(model, UNICODE_TEXT, method=method, max_evaluations=64)
        assert result.explanation.features
        for feature in result.explanation.features:
            assert feature.spans
            assert all(UNICODE_TEXT[span.start : span.end] == feature.text for span in feature.spans)

    def test_every_word_has_its_numbers_and_lies_in_its_interval(self, client, model):
        explanation = client.explain(model, LONG_TEXT).explanation
        assert len(explanation.features) == len(LONG_TEXT.split())
        for c in explanation.contributions():
            assert math.isfinite(c.value)
            assert math.isnan(c.standard_error) or c.lower <= c.value <= c.upper

    def test_predicted_class_is_explained_by_default(self, client, model):
        for text in TEXTS[:4]:
            result = client.explain(model, text, max_evaluations=64)
            assert [a.class_index for a in result.explanation.attributions] == [result.prediction.index]

    @pytest.mark.parametrize(("chosen", "index"), [(0, 0), (1, 1), ("other", 0), ("great", 1)])
    def test_target_is_chosen_by_index_or_label(self, client, model, chosen, index):
        (attribution,) = client.explain(model, SHORT_TEXT, target=chosen).explanation.attributions
        assert (attribution.class_index, attribution.class_label) == (index, ("other", "great")[index])

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    def test_same_seed_gives_the_same_answer_while_others_ask(self, client, model, method):
        options = {"method": method, "seed": 7, "max_evaluations": 120}
        alone = client.explain(model, LONG_TEXT, **options)
        with ThreadPoolExecutor(4) as callers:
            noise = [callers.submit(client.predict, model, TEXTS) for _ in range(8)]
            noise += [callers.submit(client.explain, model, text, seed=3, max_evaluations=60) for text in TEXTS[:3]]
            again = client.explain(model, LONG_TEXT, **options)
            for call in noise:
                call.result()
        assert values(again) == pytest.approx(values(alone), abs=CLOSE)
        assert again.explanation.evaluations == alone.explanation.evaluations

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    def test_another_seed_gives_another_answer(self, client, model, method):
        options = {"method": method, "max_evaluations": 60}
        one, two = (client.explain(model, LONG_TEXT, seed=seed, **options) for seed in (1, 2))
        assert max(abs(a - b) for a, b in zip(values(one), values(two), strict=True)) > 10 * CLOSE

    def test_options_are_answered_as_resolved_and_repeat_the_answer(self, client, model):
        first = client.explain(model, LONG_TEXT, seed=5)
        resolved = first.explanation.options
        assert (resolved.method, resolved.output_space, resolved.masking) == ("kernel-shap", "probability", "attention")
        again = client.explain(
            model,
            LONG_TEXT,
            method=resolved.method,
            output_space=resolved.output_space,
            masking=resolved.masking,
            max_evaluations=resolved.max_evaluations,
            min_evaluations=resolved.min_evaluations,
            tolerance=resolved.tolerance,
            confidence=resolved.confidence,
            seed=resolved.seed,
        )
        assert values(again) == pytest.approx(values(first), abs=CLOSE)

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    @pytest.mark.parametrize("budget", [4, 50, 333])
    def test_budget_is_kept(self, client, model, method, budget):
        explanation = client.explain(model, LONG_TEXT, method=method, max_evaluations=budget, tolerance=0).explanation
        assert explanation.evaluations <= budget
        # lime's sample is about as large as its budget, so that all of it may be evaluated.
        assert explanation.stop_reason in (("budget", "complete") if method == "lime" else ("budget",))

    def test_short_text_is_explained_exactly(self, client, model):
        explanation = client.explain(model, SHORT_TEXT, max_evaluations=100, tolerance=0).explanation
        assert explanation.stop_reason == "exact"
        assert explanation.converged
        assert explanation.evaluations <= 2**4

    def test_time_limit_yields_the_best_answer_so_far(self, client, model):
        most = client.get_model(model).limits.max_evaluations
        started = time.monotonic()
        result = client.explain(model, LONG_TEXT * 5, max_evaluations=most, tolerance=0, time_limit_s=1.0)
        assert time.monotonic() - started < 5
        assert result.explanation.stop_reason in ("deadline", "budget")
        assert sum(values(result)) == pytest.approx(
            result.explanation.attributions[0].instance_value - result.explanation.attributions[0].baseline_value,
            abs=CLOSE,
        )

    def test_stream_grows_and_ends_in_the_answer_of_explain(self, client, model):
        options = {"seed": 11, "max_evaluations": 400, "tolerance": 0}
        estimates = list(client.stream_explain(model, LONG_TEXT, **options))
        whole = client.explain(model, LONG_TEXT, **options)
        evaluations = [estimate.explanation.evaluations for estimate in estimates]
        assert [estimate.final for estimate in estimates] == [False] * (len(estimates) - 1) + [True]
        assert evaluations == sorted(set(evaluations))
        assert all(estimate.explanation.stop_reason == "running" for estimate in estimates[:-1])
        assert estimates[-1].explanation.stop_reason == whole.explanation.stop_reason
        assert evaluations[-1] == whole.explanation.evaluations
        assert values(estimates[-1]) == pytest.approx(values(whole), abs=CLOSE)

    @pytest.mark.usefixtures("still_answers")
    def test_stream_may_be_left_at_any_time(self, client, model):
        for read in (0, 1):
            stream = client.stream_explain(model, LONG_TEXT, max_evaluations=2000, tolerance=0)
            for _ in range(read):
                next(stream)
            stream.close()
