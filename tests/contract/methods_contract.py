"""What every explanation method, target, granularity and level of quality must answer."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

import explicate
from contract.contract_calls import CLOSE, LONG_TEXT, SHORT_TEXT, Contract, values

ADDITIVE = ("auto", "exact-shap", "kernel-shap", "partition-shap", "permutation-shap")
REVIEW = "The soup was cold. We came for the bread, and the bread was great! " * 12


class MethodsContract(Contract):
    """Methods and what may be asked of them."""

    def test_every_listed_method_explains(self, client, model):
        for method in client.get_model(model).methods:
            explanation = client.explain(model, SHORT_TEXT, method=method).explanation
            assert [feature.text for feature in explanation.features] == SHORT_TEXT.split()
            assert all(map(math.isfinite, explanation.attributions[0].values)), method
            assert explanation.options.method == ("exact-shap" if method == "auto" else method)

    @pytest.mark.parametrize("method", ADDITIVE)
    def test_additive_methods_add_up(self, client, model, method):
        explanation = client.explain(model, SHORT_TEXT, method=method, target=explicate.ALL).explanation
        for attribution in explanation.attributions:
            difference = attribution.instance_value - attribution.baseline_value
            assert sum(attribution.values) == pytest.approx(difference, abs=CLOSE)

    def test_sampling_methods_agree_with_the_exact_one(self, client, model):
        exact = client.explain(model, SHORT_TEXT, method="exact-shap")
        assert exact.explanation.stop_reason == "exact"
        for method in ("kernel-shap", "permutation-shap"):
            sampled = client.explain(model, SHORT_TEXT, method=method, tolerance=0.0)
            assert values(sampled) == pytest.approx(values(exact), abs=CLOSE)

    def test_auto_is_exact_when_all_coalitions_fit(self, client, model):
        explanation = client.explain(model, SHORT_TEXT).explanation
        assert explanation.options.method == "exact-shap"
        assert (explanation.stop_reason, explanation.evaluations) == ("exact", 2 ** len(SHORT_TEXT.split()))

    def test_auto_samples_when_there_are_too_many_coalitions(self, client, model):
        explanation = client.explain(model, LONG_TEXT).explanation
        assert explanation.options.method == "kernel-shap"
        assert explanation.evaluations < 2 ** len(LONG_TEXT.split())

    def test_occlusion_is_what_the_output_loses_without_a_word(self, client, model):
        words = SHORT_TEXT.split()
        result = client.explain(model, SHORT_TEXT, method="occlusion", masking="delete", target="great")
        rest = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
        whole, *without = (p.scores[1].probability for p in client.predict(model, [SHORT_TEXT, *rest]).predictions)
        assert values(result) == pytest.approx([whole - score for score in without], abs=CLOSE)

    def test_contrast_is_the_difference_of_two_explanations(self, client, model):
        options = {"method": "exact-shap", "output_space": "logit"}
        great, other = (client.explain(model, SHORT_TEXT, target=label, **options) for label in ("great", "other"))
        contrast = client.explain(model, SHORT_TEXT, method="exact-shap", target=explicate.Contrast("great", "other"))
        assert contrast.explanation.options.output_space == "logit"
        (attribution,) = contrast.explanation.attributions
        assert (attribution.class_label, attribution.reference_label) == ("great", "other")
        differences = [a - b for a, b in zip(values(great), values(other), strict=True)]
        assert values(contrast) == pytest.approx(differences, abs=CLOSE)

    def test_sentences_and_tokens_can_be_the_players(self, client, model):
        sentences = client.explain(model, REVIEW, granularity="sentence", max_evaluations=64).explanation
        assert sentences.features[0].text == "The soup was cold."
        assert all(feature.text.endswith((".", "!")) for feature in sentences.features)
        tokens = client.explain(model, SHORT_TEXT, granularity="token").explanation
        assert "".join(feature.text for feature in tokens.features) == SHORT_TEXT.replace(" ", "")

    def test_a_long_text_is_explained_in_phrases_within_its_budget(self, client, model):
        result = client.explain(model, REVIEW, max_players=16, max_evaluations=300, tolerance=0.0)
        explanation, usage = result.explanation, result.prediction.text_usage
        assert len(explanation.features) <= 16
        assert explanation.evaluations <= 300
        assert explanation.options.max_players == 16
        spans = [feature.spans[0] for feature in explanation.features]
        assert all(REVIEW[span.start : span.end] == f.text for span, f in zip(spans, explanation.features, strict=True))
        assert all(a.end <= b.start for a, b in pairwise(spans))
        # Every word that the model saw is in one of the phrases.
        seen = REVIEW[: usage.characters_used]
        assert sum(len(feature.text.split()) for feature in explanation.features) == len(seen.split())
        (attribution,) = explanation.attributions
        difference = attribution.instance_value - attribution.baseline_value
        assert sum(attribution.values) == pytest.approx(difference, abs=CLOSE)

    def test_certain_top_features_end_the_work(self, client, model):
        options = {"method": "kernel-shap", "tolerance": 0.0, "max_evaluations": 4000}
        explanation = client.explain(model, LONG_TEXT, top_k=1, **options).explanation
        assert explanation.stop_reason in ("top-k", "budget")
        assert (explanation.quality.certain_top_k >= 1) == (explanation.stop_reason == "top-k")
        assert explanation.converged == (explanation.stop_reason == "top-k")

    def test_quality_is_told(self, client, model):
        quality = client.explain(model, LONG_TEXT, method="kernel-shap").explanation.quality
        assert quality.additivity_gap == pytest.approx(0, abs=CLOSE)
        assert quality.held_out_r_squared <= 1
        assert -1 <= quality.split_half_spearman <= 1
        assert quality.infidelity >= 0
        assert quality.largest_interval_ratio > 0
        assert 0 <= quality.certain_top_k <= len(LONG_TEXT.split())
        assert quality.comprehensiveness is None

    def test_full_quality_measures_what_leaving_out_does(self, client, model):
        options = {"method": "kernel-shap", "target": "great", "max_evaluations": 400, "tolerance": 0.0}
        basic = client.explain(model, LONG_TEXT, **options).explanation
        full = client.explain(model, LONG_TEXT, quality="full", **options).explanation
        assert basic.evaluations <= full.evaluations <= basic.evaluations + 20
        for figure in (full.quality.comprehensiveness, full.quality.sufficiency):
            assert math.isfinite(figure.value)
            assert math.isfinite(figure.random)
        assert full.quality.comprehensiveness.value > full.quality.comprehensiveness.random
        assert full.attributions == basic.attributions

    def test_a_repeated_request_says_what_it_reused(self, client, model):
        options = {"method": "kernel-shap", "seed": 991, "max_evaluations": 100}
        first = client.explain(model, LONG_TEXT, **options).explanation
        again = client.explain(model, LONG_TEXT, **options).explanation
        assert again.evaluations == again.reused_evaluations == first.evaluations
        assert again.attributions == first.attributions

    def test_bulk_work_gets_the_same_answers(self, client, model):
        assert client.predict(model, [SHORT_TEXT], priority="bulk").predictions[0].label
        bulk = client.explain(model, SHORT_TEXT, priority="bulk")
        assert values(bulk) == pytest.approx(values(client.explain(model, SHORT_TEXT)), abs=CLOSE)
