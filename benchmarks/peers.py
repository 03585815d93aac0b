"""The fine-tuned model as users of shap and lime have it: a torch pipeline in their own process."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import subject


class CountingModel:
    """The torch pipeline, with a count of the rows that went through its model."""

    def __init__(self) -> None:
        import torch
        from transformers import pipeline

        torch.manual_seed(0)
        self.pipeline: Any = pipeline(
            "text-classification",
            model=str(subject.RUN / "model"),
            top_k=None,
            device="cpu",
            truncation=True,
            max_length=128,
        )
        self.rows = 0
        self.pipeline.model.register_forward_hook(self._count, with_kwargs=True)
        self.labels = [
            self.pipeline.model.config.id2label[index] for index in range(self.pipeline.model.config.num_labels)
        ]

    def probabilities(self, texts: list[str]) -> NDArray[np.float64]:
        """float64[texts, labels], for lime."""
        answers = self.pipeline(list(texts), batch_size=32)
        return np.array(
            [[{s["label"]: s["score"] for s in scores}[label] for label in self.labels] for scores in answers]
        )

    def _count(self, _module: Any, _arguments: Any, _keywords: Any, output: Any) -> None:
        self.rows += len(output.logits)
