"""What Predict must answer."""

from __future__ import annotations

import math

import pytest

from contract.contract_calls import CALL_S, CLOSE, SHORT_TEXT, TEXTS, Contract, logits


class PredictionContract(Contract):
    """Order, scores and provenance of predictions."""

    def test_predictions_keep_the_order_and_equal_those_asked_alone(self, client, model):
        together = client.predict(model, TEXTS).predictions
        for text, prediction in zip(TEXTS, together, strict=True):
            (alone,) = client.predict(model, [text]).predictions
            assert logits(prediction) == pytest.approx(logits(alone), abs=CLOSE)

    def test_probabilities_are_the_softmax_of_thelogits(self, client, model):
        for prediction in client.predict(model, TEXTS).predictions:
            weights = [math.exp(logit) for logit in logits(prediction)]
            expected = [weight / sum(weights) for weight in weights]
            assert [score.probability for score in prediction.scores] == pytest.approx(expected, abs=CLOSE)
            assert sum(score.probability for score in prediction.scores) == pytest.approx(1, abs=CLOSE)

    def test_predicted_class_is_the_most_probable_one(self, client, model):
        for prediction in client.predict(model, TEXTS).predictions:
            assert [(score.index, score.label) for score in prediction.scores] == [(0, "other"), (1, "great")]
            assert prediction.probability == max(score.probability for score in prediction.scores)
            assert prediction.label == prediction.scores[prediction.index].label

    def test_answer_says_what_made_it(self, client, model):
        answer = client.predict(model, [SHORT_TEXT])
        live = next(status for status in client.list_models() if status.model == model and "live" in status.labels)
        assert (answer.model.model, answer.model.version) == (model, live.version)
        assert answer.model.bundle_digest == live.bundle_digest
        assert len(answer.model.bundle_digest) == 64
        assert answer.model.runtime == live.runtime
        assert 0 < answer.timing.total_s < CALL_S

    def test_version_and_label_choose_the_version(self, client, model):
        live = client.predict(model, [SHORT_TEXT], label="live")
        exact = client.predict(model, [SHORT_TEXT], version=live.model.version)
        assert exact.model == live.model
        assert logits(exact.predictions[0]) == pytest.approx(logits(live.predictions[0]), abs=CLOSE)

    def test_text_that_is_too_long_for_the_model_is_marked(self, client, model):
        short, long = client.predict(model, ["soup", "good soup " * 2000]).predictions
        assert not short.text_usage.truncated
        assert short.text_usage.tokens == short.text_usage.tokens_used
        assert short.text_usage.characters_used == 4
        assert long.text_usage.truncated
        assert long.text_usage.tokens_used < long.text_usage.tokens
        assert 0 < long.text_usage.characters_used < 20_000
