"""The recipes of docs/extending.md: registries know what their siblings know, or the failure names the missing place.

Also which production files may name a modality at all, so that the next one touches few of them.
"""

import ast
import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from explicate import options as client_options
from explicate.cli import inputs as cli_inputs
from explicate.cli.main import build_parser
from explicate.v1 import bundle_pb2, explanation_pb2, inference_service_pb2, model_service_pb2
from explicate.views import kinds as view_kinds
from explicate_bundle.input_kind import INPUT_KINDS
from explicate_bundle.objective import OBJECTIVES
from explicate_export.export import EXPORTS, HEADS
from explicate_export.objectives import EXPORT_OBJECTIVES
from explicate_export.sources.sources import SOURCES, sources
from explicate_server.explain.methods import NAMES, methods_of
from explicate_server.inference.explain_options import ExplainOptions, ResolvedOptions
from explicate_server.security.tokens import NEEDS
from explicate_standards import metrics
from explicate_standards.metric import Metric
from explicate_standards.metrics.interpretability import METRICS
from explicate_training.config.config_file import KINDS, example_config
from explicate_training.interpretability.terms import TERMS
from explicate_training.tasks.registry import registered
from support.ordinal import NAME as TOY
from tools.shape import ROOT, read_tree

RECIPES = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def recipe(title: str, step: int) -> str:
    """A step of a recipe, for the message of a failure."""
    _, _, text = RECIPES.partition(f"## {title}\n")
    steps = re.findall(r"^\d+\. (.*?)(?=^\d+\. |^## |^$)", text.partition("\n## ")[0], flags=re.MULTILINE | re.DOTALL)
    return f"docs/extending.md, {title}, step {step}: {' '.join(steps[step - 1].split())}"


def document(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_recipe_has_its_steps() -> None:
    counts = {"A method": 4, "A modality": 6, "An objective": 4, "An RPC": 5, "An option of an explanation": 6}
    counts |= {"A training term": 3, "A metric of interpretability": 4, "A kind of device": 3, "A source of models": 3}
    counts |= {"A column of the leaderboard": 2, "A claim in plain words": 2, "A language of sentences": 2}
    counts |= {"A page, a drawing": 3}
    for title, steps in counts.items():
        assert recipe(title, steps)
        with pytest.raises(IndexError):
            recipe(title, steps + 1)
    assert set(re.findall(r"^## (An? .*)$", RECIPES, flags=re.MULTILINE)) == set(counts)


_PLACES = (
    r"`((?:protos|server/explicate|clients/(?:python|typescript)|bundle/explicate|training/explicate|standards/explicate"
    r"|export/explicate|tests)[\w./]+)`"
)


@pytest.mark.parametrize("path", re.findall(_PLACES, RECIPES))
def test_the_recipes_name_places_that_there_are(path: str) -> None:
    if "NAME" not in path:
        assert (ROOT / path).exists(), f"docs/extending.md names {path}"


def method_files() -> list[str]:
    folder = ROOT / "server" / "explicate_server" / "explain" / "estimators"
    return sorted(path.stem.replace("_", "-") for path in folder.glob("*.py") if "METHOD = " in path.read_text())


ONLY_EXPLAINS = {"integrated-gradients": ["text"], "additive-exact": ("table",), "tree-shap": ("table",)}
"""Kinds of input of methods that do not explain all."""


def test_a_method_is_in_its_registry_and_the_docs() -> None:
    for name in method_files():
        explained = [reads for reads in INPUT_KINDS if name in methods_of(reads)]
        assert explained == list(ONLY_EXPLAINS.get(name, INPUT_KINDS)), recipe("A method", 2)
        for page in ("README.md", "docs/api.md"):
            assert f"| `{name}` |" in document(page), recipe("A method", 3)
    assert sorted(NAMES) == method_files(), recipe("A method", 1)


# What takes one particular method, so that another one changes nothing there: "auto", the default of `explain_game`,
# the attributions that a bundle is verified by, and the word for where the values of lime's models begin.
CHOOSING = {
    "explicate_server.explain.methods",
    "explicate_server.explain.explain_game",
    "explicate_export.golden_inputs",
    "explicate.views.wording",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_method_is_named_by_its_own_file_only_so_that_a_new_one_touches_two(name: str) -> None:
    module = f"explicate_server.explain.estimators.{name.replace('-', '_')}"
    naming = {place for place, path in read_tree(ROOT).items() if name in strings(path)}
    assert module in naming
    assert naming - CHOOSING == {module}, recipe("A method", 2)
    registry = document("server/explicate_server/explain/methods.py")
    assert len(re.findall(rf"\b{module.rpartition('.')[2]}\b", registry)) == 2, recipe("A method", 2)


def test_a_modality_is_known_to_bundle_server_training_export_and_client() -> None:
    fields = {field.name for field in inference_service_pb2.Input.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert {kind.field for kind in INPUT_KINDS.values()} == fields, recipe("A modality", 1)
    numbers = set(bundle_pb2.InputKind.values()) - {0}
    assert {kind.number for kind in INPUT_KINDS.values()} == numbers, recipe("A modality", 2)
    listed = document("server/explicate_server/modalities/modalities.py")
    served = {kind for kind in INPUT_KINDS if f'"{kind}": ' in listed}
    assert served == set(INPUT_KINDS), recipe("A modality", 3)
    assert set(KINDS) == set(INPUT_KINDS), recipe("A modality", 4)
    assert set(EXPORTS) == set(INPUT_KINDS), recipe("A modality", 5)
    assert set(cli_inputs.KINDS) == fields, recipe("A modality", 6)
    assert len(view_kinds.KINDS) == len(INPUT_KINDS), recipe("A modality", 6)


def test_an_objective_is_known_to_training_bundle_export_and_protos() -> None:
    trained = set(registered("names")) - {TOY}
    assert set(OBJECTIVES) - {TOY} == trained, recipe("An objective", 2)
    assert set(EXPORT_OBJECTIVES) - {TOY} == trained, recipe("An objective", 3)
    named = {
        name.removeprefix("OBJECTIVE_").lower().replace("_", "-"): number
        for name, number in bundle_pb2.Objective.items()
        if number
    }
    assert {name: OBJECTIVES[name].number for name in trained} == named, recipe("An objective", 4)


def test_a_metric_is_in_its_registry_the_docs_and_a_test() -> None:
    title = "A metric of interpretability"
    modules = [
        importlib.import_module(f"{metrics.__name__}.{each.name}") for each in pkgutil.iter_modules(metrics.__path__)
    ]
    written = {value.id for module in modules for value in vars(module).values() if isinstance(value, Metric)}
    assert set(METRICS) == written, recipe(title, 2)
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "unit" / "standards").glob("test_*.py"))
    for name in METRICS:
        assert f"| `{name}`" in document("docs/interpretability.md"), recipe(title, 3)
        assert f'"{name}"' in tests, recipe(title, 4)


def rpcs() -> list[tuple[str, str]]:
    return [
        (service.full_name, method.name)
        for module in (inference_service_pb2, model_service_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


@pytest.mark.parametrize(("service", "method"), rpcs())
def test_an_rpc_has_a_right_a_servicer_a_client_method_and_a_line_in_the_docs(service: str, method: str) -> None:
    assert f"{service}/{method}" in NEEDS, recipe("An RPC", 2)
    servicers = "".join(path.read_text() for path in (ROOT / "server/explicate_server/rpc").glob("*_service.py"))
    assert f"def {method}(" in servicers, recipe("An RPC", 3)
    makers = {
        node.name
        for node in ast.parse(document("clients/python/explicate/_wire/calls.py")).body
        if isinstance(node, ast.FunctionDef) and f"'{method}'" in ast.dump(node)
    }
    assert makers, recipe("An RPC", 4)
    client = ("async_client", "_wire/table_calls")  # a table is asked about in several calls
    used = "".join(document(f"clients/python/explicate/{name}.py") for name in client)
    assert any(f"calls.{maker}(" in used for maker in makers), recipe("An RPC", 4)
    assert f"{method}`" in document("docs/api.md"), recipe("An RPC", 5)


# What the same option is called at the surface of the command line.
_FLAGS = {"time_limit_seconds": "--time-limit", "groups": "--group"}


@pytest.mark.parametrize("field", [field.name for field in explanation_pb2.ExplainOptions.DESCRIPTOR.fields])
def test_an_option_is_known_to_the_server_both_wires_the_client_and_the_command_line(field: str) -> None:
    name = field.replace("_seconds", "_s")
    for options in (ExplainOptions, ResolvedOptions):
        assert name in {each.name for each in dataclasses.fields(options)}, recipe("An option of an explanation", 2)
    named = document("server/explicate_server/rpc/option_messages.py")
    assert f'"{name}"' in named or f"{name}=" in named, recipe("An option of an explanation", 3)
    assert name in client_options.ExplainOptions.__annotations__, recipe("An option of an explanation", 4)
    flag = _FLAGS.get(field, f"--{field.replace('_', '-')}")
    (subparsers,) = (action for action in build_parser()._actions if hasattr(action, "choices") and action.choices)
    assert flag in subparsers.choices["explain"]._option_string_actions, recipe("An option of an explanation", 5)


def term_files() -> set[str]:
    folder = ROOT / "training" / "explicate_training" / "interpretability"
    return {path.stem for path in folder.rglob("*.py") if "(Term):" in path.read_text(encoding="utf-8")}


def test_a_training_term_is_in_its_registry_the_config_and_the_docs() -> None:
    assert {term.__module__.rpartition(".")[2] for term in TERMS} == term_files(), recipe("A training term", 2)
    assert len({term.name for term in TERMS}) == len(TERMS), recipe("A training term", 1)
    page = document("docs/interpretability.md")
    for term in TERMS:
        assert all((term.name, term.title, term.about)), recipe("A training term", 1)
        for declared in dataclasses.fields(term):
            assert declared.metadata["rule"].about, recipe("A training term", 1)
            assert all(f"{declared.name}" in example_config(kind) for kind in KINDS), recipe("A training term", 2)
            written = (f"`{declared.name}`", f"[interpretability.{declared.name}]")
            assert any(form in page for form in written), recipe("A training term", 3)


def test_a_source_of_models_is_in_its_registry_and_a_head_has_its_module() -> None:
    folder = ROOT / "export" / "explicate_export" / "sources"
    files = {path.stem for path in folder.glob("*.py") if "\nSOURCE = " in path.read_text(encoding="utf-8")}
    assert set(SOURCES) == files, recipe("A source of models", 2)
    assert all(source.about for source in sources()), recipe("A source of models", 1)
    for kind in HEADS.values():
        assert (folder.parent / kind / "hugging_face.py").is_file(), recipe("A source of models", 3)


IMAGE_FILES = [
    "explicate",
    "explicate._wire.decoding",
    "explicate._wire.encoding",
    "explicate.audit.log_lines",
    "explicate.cli.completion",  # what its words for files complete to
    "explicate.cli.inputs",
    "explicate.cli.inputs.image_inputs",
    "explicate.described.usage",  # out of explicate.results
    "explicate.inputs",
    "explicate.model_info",
    "explicate.results",
    "explicate.scoring.rows.fields",  # its table of kinds, as explicate.cli.inputs is
    "explicate.scoring.rows.image_files",
    "explicate.views.canvas",
    "explicate.views.kinds",
    "explicate.views.kinds.explained_image",
    "explicate.views.pictures",
    "explicate_bundle.files.image_headers",
    "explicate_bundle.images",
    "explicate_bundle.input_kind",
    "explicate_bundle.kinds.image_kind",
    "explicate_bundle.model_inputs",
    "explicate_export.cli",
    "explicate_export.export",
    "explicate_export.image.conversion",
    "explicate_export.image.hugging_face",
    "explicate_export.training_run",
    "explicate_server.explain.estimators.lime",
    "explicate_server.inference.explain_options",
    "explicate_server.modalities.image",
    "explicate_server.modalities.modalities",
    "explicate_server.modalities.modality",
    "explicate_server.rpc.answers",
    "explicate_server.rpc.model_service",
    "explicate_server.rpc.requests",
    "explicate_server.settings",
    "explicate_standards.image.disturbances",
    "explicate_standards.image.evaluated",
    "explicate_training.cli",
    "explicate_training.config.config_file",
    "explicate_training.data.demos",
    "explicate_studies.auto.given_data",
    "explicate_training.image.augmentation",
    "explicate_training.image.cleaning",
    "explicate_training.image.config",
    "explicate_training.image.data",
    "explicate_training.image.forgetting",
    "explicate_training.image.game",
    "explicate_training.image.masking",
    "explicate_training.image.model",
    "explicate_training.image.processor",
    "explicate_training.image.run",
    "explicate_training.train",
]
"""The production modules that may name images outside of docstrings; outside of the folders of images the list may
only become shorter."""


def strings(path: Path) -> Iterator[str]:
    """Strings of a module, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bodies = [node.body for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list)]
    statements = [statement for body in bodies for statement in body]
    told = {id(each.value) for each in statements if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def names(path: Path) -> Iterator[str]:
    """Identifiers and strings of a module, docstrings left out."""
    yield from strings(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for part in ("id", "attr", "name", "arg", "module"):
            if isinstance(value := getattr(node, part, None), str):
                yield value


def test_only_these_files_name_images() -> None:
    naming = {
        module for module, path in read_tree(ROOT).items() if any("image" in name.lower() for name in names(path))
    }
    unexpected = sorted(naming - set(IMAGE_FILES))
    assert not unexpected, f"{unexpected[0]} names images now: give what differs to the kind's own object, or list it"
    assert sorted(set(IMAGE_FILES) - naming) == [], "these no longer name images: take them from the list"
