"""The figures that the sentences of an explanation rest upon, and the sentences."""

from collections.abc import Sequence

from explicate.sentences.claims import sentences
from explicate.sentences.language import language
from explicate.sentences.told_figures import Answer, Changed, Cut, Figures, Noun, Output, Part, counted, thirds
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_server.inference.explain_work import ExplainAnswer
from explicate_server.modalities.modality import ColumnPlayer, Player, SegmentPlayer, TextPlayer, TextUsage
from explicate_server.registry.records import ServedModel


def told_in_words(served: ServedModel, value: ModelInput, answer: ExplainAnswer, answered: Answer) -> Sequence[str]:
    """The sentences of a final answer in the language of its options; none of an estimate that others follow."""
    if not answer.final or answer.options.language is None:
        return ()
    return sentences(figures(served, value, answer, answered), language(answer.options.language))


def figures(served: ServedModel, value: ModelInput, answer: ExplainAnswer, answered: Answer) -> Figures:
    """The figures of an answer as sentences take them; ``answered`` is what the model answers."""
    options, usage = answer.options, answer.encoded.usage
    cut = usage if isinstance(usage, TextUsage) and usage.truncated else None
    return Figures(
        answer=answered,
        outputs=_outputs(served.labels, answer),
        parts=_parts(answer),
        noun=_noun(answer),
        space=options.output_space,
        compared=options.method.additive,
        baseline_name="" if options.baseline is None else options.baseline.name or options.baseline.colour,
        other_input=options.baseline is not None and options.baseline.value is not None,
        kept=bool(options.fixed),
        stop_reason=answer.stop_reason.value,
        held_out_r_squared=answer.quality.held_out_r_squared,
        rows_per_part=answer.evaluations / max(len(answer.players), 1),
        copies=served.modality.near_copies,
        unknown_columns=tuple(answer.encoded.unknown_category_columns),
        change=_changed(served.labels, answer),
        cut=None if cut is None or not isinstance(value, TextInput) else _cut(value, cut),
    )


def _changed(labels: Sequence[str], answer: ExplainAnswer) -> Changed | None:
    found = answer.additions.change
    if found is None or found.after is None:
        return None
    columns = [(move.column.name, move.value) for move in found.cells]
    after = found.after
    return Changed(tuple(found.absent), columns, labels[after.index], after.score, after.given)


def _outputs(labels: Sequence[str], answer: ExplainAnswer) -> list[Output]:
    estimate, reference = answer.attribution, answer.outputs.reference_index
    return [
        Output(
            label=labels[index],
            reference=None if reference is None else labels[reference],
            baseline=float(estimate.baseline[output]),
            instance=float(answer.full[output]),
            values=estimate.values[output].tolist(),
            lower=estimate.lower[output].tolist(),
            upper=estimate.upper[output].tolist(),
            certain=estimate.certain_half_widths[output].tolist(),
        )
        for output, index in enumerate(answer.outputs.class_indices)
    ]


def _parts(answer: ExplainAnswer) -> list[Part]:
    size = (0, 0) if answer.segment_map is None else answer.segment_map.shape[::-1]
    names = [_name(player) for player in answer.players]
    return [
        _part(player, name, place, size)
        for player, name, place in zip(answer.players, names, counted(names), strict=True)
    ]


def _name(player: Player) -> str:
    match player:
        case TextPlayer(text):
            return text
        case SegmentPlayer(number):
            return str(number)
        case _:
            return player.name


def _part(player: Player, name: str, place: tuple[int, int], size: tuple[int, ...]) -> Part:
    match player:
        case TextPlayer(in_pair=in_pair):
            return Part(name, place, in_pair=in_pair)
        case ColumnPlayer(columns=columns):
            return Part(name, place, columns=columns)
        case SegmentPlayer(box=box):
            return Part(name, place, thirds=thirds(box, (size[0], size[1])))
        case _:  # several of them under one name
            return Part(name, place)


def _noun(answer: ExplainAnswer) -> Noun:
    """What one player is called, as the views call it."""
    granularity, players = answer.options.granularity, answer.players
    if answer.segment_map is not None:
        return "patch" if granularity == "patch" else "segment"
    if granularity is None:
        alone = (isinstance(player, ColumnPlayer) and len(player.columns) == 1 for player in players)
        return "column" if all(alone) else "feature"
    if granularity == "sentence":
        return "sentence"
    if not all(isinstance(player, TextPlayer) and len(player.text.split()) <= 1 for player in players):
        return "phrase"
    return "token" if granularity == "token" else "word"


def _cut(value: TextInput, usage: TextUsage) -> Cut:
    return Cut(tuple(map(len, usage.seen)), tuple(map(len, value.texts)))
