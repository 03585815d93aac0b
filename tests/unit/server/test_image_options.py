"""Options of explanations of images: defaults by method, and what each kind of model can be asked."""

import pytest

from explicate_server.errors import InvalidRequest
from explicate_server.explain.methods import methods_of
from explicate_server.inference.explain_options import ExplainOptions, ResolvedOptions, check_options
from explicate_server.modalities.image import ImageModality
from explicate_server.registry.records import Choices, Scales
from explicate_server.settings import Settings

MASKINGS, COUNTED = ("mean", "blur", "grey"), ImageModality.counted
SMALL = Choices(("a", "b"), Scales(2), MASKINGS, ("slic", "quickshift", "grid", "patch"), "image", COUNTED)
LARGE = Choices(("a", "b"), Scales(2), MASKINGS, ("slic", "grid"), "image", COUNTED)


def resolved(options: ExplainOptions, choices: Choices = SMALL, players: int = 40) -> ResolvedOptions:
    return check_options(options, choices=choices, settings=Settings()).for_players(players)


def players_of(options: ResolvedOptions) -> str:
    return ImageModality.players_of(options.granularity, options.segments)


WITHOUT_CHOICE = [
    name
    for name, method in methods_of("image").items()
    if method.default_granularity is None and method.least_evaluations(40) <= Settings().max_evaluations
]


@pytest.mark.parametrize("method", [*WITHOUT_CHOICE, None])
def test_shapley_values_are_of_slic_segments_by_default(method: str | None) -> None:
    options = resolved(ExplainOptions(method=method))
    assert (options.granularity, options.segments, options.masking) == ("slic", 49, "mean")
    assert players_of(options) == "slic-segments-49"


def test_lime_cuts_as_the_library_does_where_that_is_possible() -> None:
    options = resolved(ExplainOptions(method="lime"))
    assert (options.granularity, options.segments, options.masking) == ("quickshift", None, "mean")
    assert players_of(options) == "quickshift-segments"
    assert players_of(resolved(ExplainOptions(method="lime"), LARGE)) == "slic-segments-49"


@pytest.mark.parametrize(
    ("options", "players"),
    [
        (ExplainOptions(segments=9), "slic-segments-9"),
        (ExplainOptions(granularity="grid", segments=1024), "grid-segments-1024"),
        (ExplainOptions(granularity="grid"), "grid-segments-49"),
        (ExplainOptions(granularity="patch"), "patch-segments"),
        (ExplainOptions(method="lime", granularity="slic", segments=12), "slic-segments-12"),
    ],
)
def test_the_players_say_all_that_cuts_the_image(options: ExplainOptions, players: str) -> None:
    assert players_of(resolved(options)) == players


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (ExplainOptions(granularity="word"), "options.granularity"),
        (ExplainOptions(method="lime", segments=9), "options.segments"),
        (ExplainOptions(granularity="patch", segments=9), "options.segments"),
        (ExplainOptions(segments=0), "options.segments"),
    ],
)
def test_what_does_not_fit_is_named(options: ExplainOptions, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolved(options)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_what_a_large_image_cannot_be_cut_into_is_named_with_what_it_can() -> None:
    with pytest.raises(InvalidRequest, match="is quickshift; the players of this model may be slic, grid"):
        resolved(ExplainOptions(granularity="quickshift"), LARGE)
