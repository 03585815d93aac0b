"""Configs as TOML: read from a file or by the name of a ready one, written back whole, and shown as an example."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any  # TOML values

import tomlkit

from explicate.errors import UsageError
from explicate_training.config.sections import OptionalSection, about_option, options_of, rule_of
from explicate_training.image.config import ImageConfig
from explicate_training.table.config import TableConfig
from explicate_training.text.config import Config

AnyConfig = Config | TableConfig | ImageConfig
KINDS: Mapping[str, type[AnyConfig]] = {"table": TableConfig, "image": ImageConfig, "text": Config}
"""By what a model reads; `explicate train --example` has the names."""

TUNE_SECTION = "tune"
"""Of a file, what `explicate tune` varies; a run does not read it."""

_TYPE_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list of strings",
    dict: "a section",
}
_FILES_OF_SECTIONS = (("pretraining", "texts"), ("augmentation", "synonyms"))  # options that name a file
_EXAMPLE_WIDTH = 44  # column where the example's comments begin


def load_config(path_or_name: str) -> AnyConfig:
    """Reads a TOML file, or a ready config named without path or ending, such as "food-reviews".

    Paths in a file are taken from the file's folder. Raises UsageError, naming the key, when anything in it is wrong.
    """
    text, folder = read_config(path_or_name)
    config = parse_config(text, source=path_or_name)
    return _with_absolute_paths(config, folder=folder, stem=Path(path_or_name).stem)


def read_config(path_or_name: str) -> tuple[str, Path]:
    """The text of a TOML file, or of a ready config, and the folder that its paths are taken from.

    Raises UsageError when there is none.
    """
    path = Path(path_or_name).expanduser()
    if path.is_file():
        return _read(path), path.resolve().parent
    ready = ready_configs()
    if path_or_name in ready:
        return ready[path_or_name], Path.cwd()
    raise UsageError(
        f"there is no config {path_or_name!r}: give a TOML file (explicate train --example > my.toml) "
        f"or a ready one ({', '.join(sorted(ready))})"
    )


def ready_configs() -> dict[str, str]:
    """TOML text of each config that comes with the package, by name."""
    folder = resources.files("explicate_training") / "configs"
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }


def parse_config(text: str, source: str = "the config") -> AnyConfig:
    """The config that TOML text describes; data.table, data.images or the demo set says of what kind it is.

    Options left out have their defaults.
    Raises UsageError in one sentence that names `source` and the key.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source} is not valid TOML: {error}") from None
    try:
        kind = _kind(document)
        own = {name: values for name, values in document.items() if name != TUNE_SECTION}
        sections = _known("", own, {section.name for section in fields(kind)})
        config = kind(**{name: _section(kind, name, values) for name, values in sections.items()})
        config.check()
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    return config


def with_seed(config: AnyConfig, seed: int) -> AnyConfig:
    """The config with another seed."""
    training: Any = replace(config.training, seed=seed)
    return replace(config, training=training)


def with_device(config: AnyConfig, device: str) -> AnyConfig:
    """The config with another device."""
    training: Any = replace(config.training, device=device)
    return replace(config, training=training)


def with_reviewed_labels(config: AnyConfig, path: str) -> AnyConfig:
    """The config with a reviewed list of labels, from the current folder."""
    data: Any = replace(config.data, reviewed_labels=str(Path(path).expanduser().resolve()))
    return replace(config, data=data)


def format_config(config: AnyConfig) -> str:
    """The whole config as TOML; `parse_config` gives it back. A section that may be left out, and is, stays out."""
    document = tomlkit.document()
    absent = type(config)()
    for section in fields(config):
        table = tomlkit.table()
        values = getattr(config, section.name)
        unset = values == getattr(absent, section.name)
        if unset and (isinstance(values, OptionalSection) or values != type(values)()):
            continue
        for declared in options_of(values):
            value = getattr(values, declared.name)
            if value != {} and not (rule_of(declared).unwritten and value == declared.default):
                table.add(declared.name, _plain(value))
        document.add(section.name, table)
    return tomlkit.dumps(document)


def example_config(kind: str = "text") -> str:
    """A commented TOML file with every option at its default, ready to edit, for "text", "table" or "image"."""
    config = KINDS[kind]()
    lines = ["# A training run for `explicate train`. Every option stands here with its default; leave out what fits."]
    lines += ["# Paths are taken from this file's folder."]
    for section in fields(config):
        values = type(getattr(config, section.name))()
        lines += ["", f"[{section.name}]  # {(type(values).__doc__ or '').splitlines()[0]}"]
        inner = []
        for declared in options_of(values):
            value, about = getattr(values, declared.name), about_option(values, declared)
            if isinstance(value, dict):
                inner += ["", f"[{section.name}.{declared.name}]", f"# {about}"]
                continue
            value = config.example.get(f"{section.name}.{declared.name}", value)
            setting = f"{declared.name} = {tomlkit.item(_plain(value)).as_string()}"
            lines.append(f"{setting:<{_EXAMPLE_WIDTH}}# {about}")
        lines += inner
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _kind(document: dict[str, Any]) -> type[AnyConfig]:
    data = document.get("data")
    named = data if isinstance(data, dict) else {}
    found = [kind for kind in KINDS.values() if kind().data.source in named or named.get("demo") in kind().data.demos]
    return found[0] if found else Config


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}") from None


def _section(kind: type[AnyConfig], name: str, values: Any) -> Any:
    defaults = type(getattr(kind(), name))()
    if not isinstance(values, dict):
        raise UsageError(f"{name} must be a section, written [{name}]")
    known = _known(f"{name}.", values, {declared.name for declared in fields(defaults)})
    numbers = {declared.name for declared in fields(defaults) if rule_of(declared).numbers}
    matrices = {declared.name for declared in fields(defaults) if rule_of(declared).matrix}
    typed = {
        key: _numbers(f"{name}.{key}", value)
        if key in numbers
        else _matrix(f"{name}.{key}", value)
        if key in matrices
        else _typed(f"{name}.{key}", value, type(getattr(defaults, key)))
        for key, value in known.items()
    }
    return replace(defaults, **typed)


def _known(prefix: str, values: dict[str, Any], names: set[str]) -> dict[str, Any]:
    for key in values:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            advice = f"did you mean {prefix}{close[0]}?" if close else f"known are {', '.join(sorted(names))}"
            raise UsageError(f"{prefix}{key} is not an option: {advice}")
    return values


def _numbers(key: str, value: Any) -> dict[str, float]:
    if type(value) is not dict:
        raise UsageError(f"{key} must be {_TYPE_NAMES[dict]}, not {value!r}")
    return {name: _typed(f"{key}.{name}", number, float) for name, number in value.items()}


def _matrix(key: str, value: Any) -> dict[str, dict[str, float]]:
    if type(value) is not dict:
        raise UsageError(f"{key} must be {_TYPE_NAMES[dict]}, not {value!r}")
    return {name: _numbers(f"{key}.{name}", row) for name, row in value.items()}


def _typed(key: str, value: Any, wanted: type) -> Any:
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is tuple and type(value) is list and all(type(one) is str for one in value):
        return tuple(value)
    if type(value) is not wanted:  # not isinstance: TOML's true is no whole number
        raise UsageError(f"{key} must be {_TYPE_NAMES[wanted]}, not {value!r}")
    entries = value if isinstance(value, dict) else {}
    for name, entry in entries.items():
        if type(entry) is not str and not (type(entry) is list and all(type(one) is str for one in entry)):
            raise UsageError(f"{key}.{name} must be a string or a list of strings, not {entry!r}")
    return value


def _with_absolute_paths(config: AnyConfig, *, folder: Path, stem: str) -> AnyConfig:
    data = config.data
    paths: dict[str, Any] = {
        name: str((folder / Path(path).expanduser()).resolve())
        for name in (data.source, "validation", "test", "reviewed_labels")
        if (path := getattr(data, name))
    }
    values: Any = {
        "data": replace(data, **paths),
        "output": replace(config.output, directory=config.output.directory or f"runs/{stem}"),
    }
    if (probed := config.training.forgetting) and isinstance(probed.get("data"), str):
        training: Any = config.training
        path = str((folder / Path(str(probed["data"])).expanduser()).resolve())
        values["training"] = replace(training, forgetting={**probed, "data": path})
    for name, option in _FILES_OF_SECTIONS:
        if given := getattr(getattr(config, name, None), option, ""):
            path = str((folder / Path(given).expanduser()).resolve())
            values[name] = replace(getattr(config, name), **{option: path})
    values["interpretability"] = _with_absolute_words(config.interpretability, folder)
    model: Any = config.model
    base = getattr(model, "base", "")
    # What is no folder here stays as written: a hub name, or a name of ours.
    if base and (folder_of_base := (folder / Path(base).expanduser()).resolve()).is_dir():
        values["model"] = replace(model, base=str(folder_of_base))
    return replace(config, **values)


def _with_absolute_words(section: Any, folder: Path) -> Any:
    """With the paths of a lexicon and of lists of words from the config's folder; what is no file stays as written."""

    def of_file(entry: str) -> str:
        path = (folder / Path(entry).expanduser()).resolve()
        return str(path) if path.is_file() else entry

    rationales = of_file(section.rationales) if section.rationales else ""
    return replace(section, rationales=rationales, forbidden=tuple(map(of_file, section.forbidden)))
