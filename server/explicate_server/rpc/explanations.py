"""Domain to answers: explanations."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import table_pb2 as table_messages
from explicate_server.explain.faithfulness import Faithfulness
from explicate_server.explain.quality import Quality
from explicate_server.inference.explain_call import ExplainAnswer
from explicate_server.inference.explain_options import ResolvedOptions
from explicate_server.inference.target import ClassName, Target
from explicate_server.modalities.modality import CellValue, ColumnPlayer, Player, SegmentPlayer, TextPlayer
from explicate_server.rpc.enums import GRANULARITIES, MASKINGS, OUTPUT_SPACES, QUALITY_LEVELS, STOP_REASONS, key_of


def explanation(labels: Sequence[str], answer: ExplainAnswer) -> explanation_messages.Explanation:
    """An explanation; ``labels`` are those of the model's outputs."""
    estimate, reference = answer.attribution, answer.outputs.reference_index
    return explanation_messages.Explanation(
        features=[_feature(player) for player in answer.players],
        attributions=[
            explanation_messages.Attribution(
                class_index=index,
                class_label=labels[index],
                reference_index=reference,
                reference_label="" if reference is None else labels[reference],
                baseline_value=estimate.baseline[output],
                instance_value=answer.full[output],
                values=estimate.values[output],
                standard_errors=estimate.standard_errors[output],
                lower=estimate.lower[output],
                upper=estimate.upper[output],
            )
            for output, index in enumerate(answer.outputs.class_indices)
        ],
        quality=_quality(answer.quality),
        evaluations=answer.evaluations,
        rounds=answer.rounds,
        stop_reason=STOP_REASONS[answer.stop_reason],
        converged=answer.converged,
        method_version=answer.options.method.version,
        options=_resolved_options(answer.options),
        reused_evaluations=answer.reused_evaluations,
        segment_map=None if answer.segment_map is None else _segment_map(answer.segment_map),
    )


def _quality(quality: Quality) -> explanation_messages.Quality:
    return explanation_messages.Quality(
        additivity_gap=quality.additivity_gap,
        held_out_r_squared=quality.held_out_r_squared,
        split_half_spearman=quality.split_half_spearman,
        infidelity=quality.infidelity,
        largest_interval_ratio=quality.largest_interval_ratio,
        certain_top_k=quality.certain_top_k,
        comprehensiveness=_faithfulness(quality.comprehensiveness),
        sufficiency=_faithfulness(quality.sufficiency),
    )


def _faithfulness(figure: Faithfulness | None) -> explanation_messages.Faithfulness | None:
    return None if figure is None else explanation_messages.Faithfulness(value=figure.value, random=figure.random)


def _feature(player: Player) -> explanation_messages.Feature:
    match player:
        case TextPlayer(text, spans, in_pair):
            messages = [explanation_messages.TextSpan(start=start, end=end) for start, end in spans]
            feature = explanation_messages.TextFeature(text=text, spans=messages, in_pair=in_pair)
            return explanation_messages.Feature(text=feature)
        case ColumnPlayer(name, columns):
            values = [explanation_messages.ColumnValue(column=column, value=_cell(value)) for column, value in columns]
            return explanation_messages.Feature(column=explanation_messages.ColumnFeature(name=name, columns=values))
        case SegmentPlayer(number, pixels, (left, top, right, bottom)):
            segment = explanation_messages.SegmentFeature(
                id=number, pixels=pixels, left=left, top=top, right=right, bottom=bottom
            )
            return explanation_messages.Feature(segment=segment)


def _segment_map(segments: NDArray[np.intp]) -> explanation_messages.SegmentMap:
    height, width = segments.shape
    return explanation_messages.SegmentMap(width=width, height=height, ids=segments.ravel().tolist())


def _cell(value: CellValue) -> table_messages.Cell:
    if value is None:
        return table_messages.Cell(missing=True)
    return table_messages.Cell(category=value) if isinstance(value, str) else table_messages.Cell(number=value)


def _resolved_options(options: ResolvedOptions) -> explanation_messages.ExplainOptions:
    return explanation_messages.ExplainOptions(
        method=options.method.name,
        target=_target_message(options.target),
        output_space=key_of(OUTPUT_SPACES, options.output_space),
        granularity=key_of(GRANULARITIES, options.granularity),
        masking=key_of(MASKINGS, options.masking),
        max_evaluations=options.max_evaluations,
        min_evaluations=options.min_evaluations,
        tolerance=options.tolerance,
        confidence=options.confidence,
        time_limit_seconds=options.time_limit_s,
        seed=options.seed,
        top_k=options.top_k,
        quality=key_of(QUALITY_LEVELS, options.quality),
        max_players=options.max_players,
        segments=options.segments,
    )


def _target_message(target: Target) -> explanation_messages.Target:
    if target.all:
        return explanation_messages.Target(all=True)
    if target.contrast:
        sides = {"target": target.contrast.target, "reference": target.contrast.reference}
        selectors = {side: _class_selector(name) for side, name in sides.items()}
        return explanation_messages.Target(contrast=explanation_messages.Contrast(**selectors))
    if target.label is not None:
        return explanation_messages.Target(label=target.label)
    return explanation_messages.Target() if target.index is None else explanation_messages.Target(index=target.index)


def _class_selector(name: ClassName | None) -> explanation_messages.ClassSelector:
    if isinstance(name, str):
        return explanation_messages.ClassSelector(label=name)
    return explanation_messages.ClassSelector() if name is None else explanation_messages.ClassSelector(index=name)
