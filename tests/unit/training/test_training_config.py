"""Configs: what a TOML file may say, and what the user hears when it says something else."""

from dataclasses import fields
from pathlib import Path

import pytest

from explicate.errors import UsageError
from explicate_training.config.config_file import (
    example_config,
    format_config,
    load_config,
    parse_config,
    ready_configs,
)
from explicate_training.table.config import TableConfig
from explicate_training.text.config import Config


def test_example_holds_every_option_at_its_default() -> None:
    example = example_config()
    config = parse_config(example)
    assert config.data.train == "reviews.csv"
    expected = parse_config('[data]\ntrain = "reviews.csv"\n[interpretability]')
    assert config == expected
    for section in fields(Config()):
        for declared in fields(getattr(Config(), section.name)):
            written = (f"\n{declared.name} = ", f"\n[{section.name}.{declared.name}]")
            assert any(form in example for form in written), declared.name


def test_example_for_a_table_holds_every_option_at_its_default() -> None:
    example = example_config("table")
    assert parse_config(example) == parse_config('[data]\ntable = "customers.csv"\n[interpretability]')
    for section in fields(TableConfig()):
        for declared in fields(getattr(TableConfig(), section.name)):
            written = (f"\n{declared.name} = ", f"\n[{section.name}.{declared.name}]")
            assert any(form in example for form in written), declared.name


def test_types_and_groups_of_columns_survive_being_written_and_read_again() -> None:
    config = parse_config(
        """
        [data]
        table = "a.csv"
        [data.columns]
        size = ["small", "large"]
        "area code" = "category"
        [data.groups]
        "where they live" = ["area code", "street"]
        """
    )
    assert isinstance(config, TableConfig)
    assert config.data.columns == {"size": ["small", "large"], "area code": "category"}
    assert parse_config(format_config(config)) == config


@pytest.mark.parametrize("name", sorted(ready_configs()))
def test_ready_config_survives_being_written_and_read_again(name: str) -> None:
    config = load_config(name)
    assert parse_config(format_config(config)) == config


def test_ready_config_is_found_by_its_name() -> None:
    config = load_config("food-reviews")
    assert config.data.demo == "food-reviews"
    assert config.output.directory == "runs/food-reviews"


def test_unknown_config_names_the_ready_ones() -> None:
    with pytest.raises(UsageError, match=r"no config 'nowhere\.toml'.*food-reviews"):
        load_config("nowhere.toml")


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[training]\nepochs = 0", "training.epochs must be at least 1, not 0"),
        ("[training]\nepochs = true", "training.epochs must be a whole number, not True"),
        ("[training]\nepochs = 1.5", "training.epochs must be a whole number, not 1.5"),
        ("[training]\nepoch = 1", "training.epoch is not an option: did you mean training.epochs?"),
        ("[trainning]\nepochs = 1", "trainning is not an option: did you mean training?"),
        ("[training]\nzzz = 1", "training.zzz is not an option: known are"),
        ("[training]\nlearning_rate = nan", "training.learning_rate must be"),
        ("[training]\nlearning_rate = 0", "training.learning_rate must be above 0, not 0.0"),
        ("[training]\nlearning_rate = '1e-5'", "training.learning_rate must be a number, not '1e-5'"),
        ("[training]\nprecision = 'fp16'", "training.precision must be one of 'auto', 'bf16', 'fp32', not 'fp16'"),
        ("[training]\nseed = -1", "training.seed must be at least 0, not -1"),
        ("[model]\ndropout = 1", "model.dropout must be below 1, not 1.0"),
        ("[data]\ntrain = 'a.csv'\n[model]\nbase = ''", "model.base must not be empty"),
        ("[data]\ntrain = 3", "data.train must be a string, not 3"),
        ("[data]\ntrain = 'a.csv'\ndemo = 'food-reviews'", "data.train or data.demo must be set, one of the two"),
        ("", "data.train or data.demo must be set"),
        ("[data]\ndemo = 'wine'", "data.demo must be one of '', 'food-reviews', not 'wine'"),
        ("[data]\ndemo = 'food-reviews'\ntest = 'a.csv'", "data.validation and data.test do not go with data.demo"),
        ("[data]\ntrain = 'a.csv'\ntext_column = 'label'", "data.text_column and data.label_column are both 'label'"),
        ("model = 3\n[data]\ntrain = 'a.csv'", "model must be a section, written [model]"),
        ("[data\n", "is not valid TOML"),
        ("[data]\ntable = ''", "data.table or data.demo must be set"),
        ("[data]\ntable = 'a.csv'\ntext_column = 'b'", "data.text_column is not an option"),
        ("[data]\ntable = 'a.csv'\nlabel_column = ''", "data.label_column must not be empty"),
        ("[data]\ndemo = 'credit'\ntest = 'a.csv'", "data.validation and data.test do not go with data.demo"),
        ("[data]\ntable = 'a.csv'\ncolumns = 3", "data.columns must be a section, not 3"),
        ("[data]\ntable = 'a.csv'\n[data.columns]\na = 3", "data.columns.a must be a string or a list of strings"),
        (
            "[data]\ntable = 'a.csv'\n[data.columns]\na = 'text'",
            "data.columns.a must be one of 'number', 'date', 'category'",
        ),
        ("[data]\ntable = 'a.csv'\n[data.columns]\na = ['x']", "data.columns.a must list at least two categories"),
        ("[data]\ntable = 'a.csv'\n[data.columns]\nlabel = 'number'", "data.columns.label is the label"),
        ("[data]\ntable = 'a.csv'\n[data.groups]\ng = 'a'", "data.groups.g must be a list of columns"),
        ("[data]\ntable = 'a.csv'\n[data.groups]\ng = ['a']\nh = ['a']", "the column 'a' is in the group 'g' already"),
        ("[data]\ntable = 'a.csv'\n[training]\nimbalance = 'smote'", "training.imbalance must be one of"),
        ("[data]\ntable = 'a.csv'\n[model]\nmembers = 0", "model.members must be at least 1, not 0"),
    ],
)
def test_wrong_config_is_one_sentence_that_names_the_key(toml: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_config(toml, source="my.toml")
    message = str(caught.value)
    assert message.startswith("my.toml")
    assert sentence in message
    assert "\n" not in message


def test_paths_are_taken_from_the_folder_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    file = tmp_path / "mine.toml"
    file.write_text("[data]\ntrain = 'a/reviews.csv'\n[model]\nbase = 'encoder'")
    config = load_config(str(file))
    assert config.data.train == str(tmp_path / "a" / "reviews.csv")
    assert config.data.test == ""
    assert config.model.base == str(tmp_path / "encoder")
    assert config.output.directory == "runs/mine"


def test_base_that_is_no_folder_stays_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[data]\ntrain = 'reviews.csv'\n[model]\nbase = 'google/bert'")
    assert load_config(str(file)).model.base == "google/bert"
