"""The preview explainer of texts: a network of its own that reads tokens and guesses their attributions in one go.

It is small: narrow embeddings, a convolution for the words around a token, and what the text is about on the average.
It answers 2 · outputs numbers for each token: what it adds to the centred logits, and to the probabilities; of a
regression, to the value, twice. It imports torch and safetensors only, as the export needs it, too.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

WEIGHTS_NAME, CONFIG_NAME = "explainer.safetensors", "explainer.json"
_WIDTH, _REACH = 32, 5  # numbers of a token, and tokens that the convolution sees


@dataclass(frozen=True)
class ExplainerConfig:
    """The shape of a network."""

    vocabulary: int
    outputs: int  # of the model
    width: int = _WIDTH
    reach: int = _REACH


class ExplainerNetwork(nn.Module):
    """`input_ids` and `attention_mask` int64 [batch, length] to float32 [batch, length, 2 · outputs]."""

    def __init__(self, config: ExplainerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.around = nn.Conv1d(config.width, config.width, config.reach, padding=config.reach // 2)
        self.whole = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.hidden = nn.Linear(config.width, 2 * config.width)
        self.last = nn.Linear(2 * config.width, 2 * config.outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        there = attention_mask.unsqueeze(2).to(self.embedding.weight.dtype)
        tokens = self.embedding(input_ids) * there
        mean = tokens.sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1)
        around = self.around(tokens.transpose(1, 2)).transpose(1, 2)
        mixed = self.norm(tokens + torch.nn.functional.gelu(around) + self.whole(mean))
        answers: Tensor = self.last(torch.nn.functional.gelu(self.hidden(mixed))) * there
        return answers

    @torch.no_grad()
    def take_embeddings(self, weights: Tensor) -> None:
        """Starts from the first principal components of a model's own embeddings float [vocabulary, size]."""
        centred = weights.float() - weights.float().mean(dim=0)
        _, _, components = torch.svd_lowrank(centred, q=min(self.config.width, min(centred.shape)))
        reduced = centred @ components
        self.embedding.weight.zero_()
        self.embedding.weight[:, : reduced.shape[1]] = reduced / reduced.std(dim=0).clamp(min=1e-6)


def save_explainer(network: ExplainerNetwork, directory: Path) -> None:
    """Writes the two files beside the model's."""
    (directory / CONFIG_NAME).write_text(json.dumps(asdict(network.config), indent=2) + "\n", encoding="utf-8")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, directory / WEIGHTS_NAME)


def load_explainer(directory: Path) -> ExplainerNetwork | None:
    """What `save_explainer` wrote, in eval mode; None if there is none."""
    if not (directory / CONFIG_NAME).is_file():
        return None
    config = ExplainerConfig(**json.loads((directory / CONFIG_NAME).read_text(encoding="utf-8")))
    network = ExplainerNetwork(config)
    network.load_state_dict(load_file(directory / WEIGHTS_NAME))
    return network.eval()
