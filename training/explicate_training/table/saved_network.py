"""A table's network in a folder: its config, which says what it is, and its weights."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from explicate_training.table.forms.additive_network import AdditiveNetwork
from explicate_training.table.network import TableNetwork, TabularNetwork

_CONFIG_FILE, _WEIGHTS_FILE = "config.json", "model.safetensors"
_KINDS: tuple[type[TableNetwork], ...] = (TabularNetwork, AdditiveNetwork)


def save_network(network: TableNetwork, model_directory: Path) -> None:
    """Writes config.json and model.safetensors into a directory, which is made if needed."""
    model_directory.mkdir(parents=True, exist_ok=True)
    config = {"architecture": network.architecture, **network.settings()}
    (model_directory / _CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, model_directory / _WEIGHTS_FILE)


def load_network(model_directory: Path) -> TableNetwork:
    """The network that `save_network` wrote, in eval mode, on the CPU.

    Raises FileNotFoundError when a file is missing and ValueError when the config is of another architecture.
    """
    values = json.loads((model_directory / _CONFIG_FILE).read_text(encoding="utf-8"))
    named = values.pop("architecture", None)
    kind = next((one for one in _KINDS if one.architecture == named), None)
    if kind is None:
        raise ValueError(f"{model_directory} does not hold a tabular network")
    network = kind.of_settings(values)
    network.load_state_dict(load_file(model_directory / _WEIGHTS_FILE))
    return network.eval()
