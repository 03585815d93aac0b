"""From a schema and what `[interpretability]` asks for to the shape of a network: its terms, and what is monotone."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.columns import TableRows
from explicate_training.config.sections import Entries
from explicate_training.interpretability.tables.network_form import PAIRS, NetworkForm
from explicate_training.table.encoding import ColumnSchema, date_places
from explicate_training.table.forms.additive_network import AdditiveNetworkConfig, MonotoneFeature
from explicate_training.table.forms.pairs import strongest_pairs
from explicate_training.table.network import TabularNetworkConfig


def players_of(schema: Sequence[ColumnSchema]) -> dict[str, list[int]]:
    """Columns, by their place in the schema, of each column and group of columns, as explanations have them."""
    members: dict[tuple[str, str], list[int]] = {}
    for place, column in enumerate(schema):
        members.setdefault(("group", column.group) if column.group else ("column", column.name), []).append(place)
    return {name: places for (_, name), places in members.items()}


def features_of(schema: Sequence[ColumnSchema]) -> list[list[int]]:
    """The features of the network that each column becomes: numbers, then the parts of dates, then codes."""
    dates = date_places(schema)
    numbers = [column for column in schema if column.is_numeric]
    parts: dict[int, list[int]] = {place: [place] for place in range(len(numbers))}
    after = len(numbers)
    for date in dates.dates:
        added = 3 + (date in dates.timed)
        parts[date] += range(after, after + added)
        after += added
    of_numbers = iter(parts.values())
    codes = iter(range(after, after + len(schema) - len(numbers)))
    return [next(of_numbers) if column.is_numeric else [next(codes)] for column in schema]


def monotone_claims(
    monotone: Entries, schema: Sequence[ColumnSchema], labels: Sequence[str], *, classes: bool
) -> dict[str, bundle_pb2.Monotone]:
    """What is promised of each column; of two classes, where none is named, it is the probability of the second.

    Raises UsageError, naming the option, for a column that there is not or is not of numbers, or for a class that there
    is not or should have been named.
    """
    by_name = {column.name: column for column in schema}
    found = {}
    for name, wanted in monotone.items():
        option = f"interpretability.monotone.{name}"
        if name not in by_name:
            known = ", ".join(column.name for column in schema if column.type == "number")
            raise UsageError(f"{option}: the model reads no column {name!r}; its columns of numbers are {known}")
        if by_name[name].type != "number":
            kind = by_name[name].type
            raise UsageError(f"{option}: {name!r} is a {kind} column, and only numbers rise and fall: leave it out")
        direction, _, label = str(wanted).partition(" ")
        claim = bundle_pb2.Monotone(decreasing=direction == "decreasing")
        if classes:
            claim.label = _class(label.strip(), labels, option)
        elif label:
            raise UsageError(f"{option} names {label!r}, but only one class of several can be named: leave it out")
        found[name] = claim
    return found


def _class(label: str, labels: Sequence[str], option: str) -> str:
    if not label and len(labels) == 2:
        return labels[1]
    if label not in labels:
        which = f"names {label!r}, which is not a class" if label else "must name a class"
        raise UsageError(f'{option} {which}, such as "increasing {labels[-1]}": there are {", ".join(labels)}')
    return label


def shape_of(
    wanted: NetworkForm,
    columns: TabularNetworkConfig,
    schema: Sequence[ColumnSchema],
    claims: Mapping[str, bundle_pb2.Monotone],
    labels: Sequence[str],
    *,
    train: TableRows,
    targets: NDArray[np.float64],
) -> AdditiveNetworkConfig:
    """The shape of a network of the forms "additive" and "pairs"; pairs are chosen on `train` and its `targets`.

    Raises UsageError where columns of one group are to be monotone for different classes.
    """
    features, players = features_of(schema), list(players_of(schema).values())
    monotone = tuple(
        _monotone(features[place][0], claims[column.name], labels)
        for place, column in enumerate(schema)
        if column.name in claims
    )
    pairs: list[list[int]] = []
    if wanted.form == PAIRS:
        order = sorted(range(len(schema)), key=lambda place: (not schema[place].is_numeric, place))
        encoded = [[order.index(column) for column in columns_] for columns_ in players]
        pairs = strongest_pairs(train, targets, encoded, wanted.pairs)
    terms = [tuple(feature for column in player for feature in features[column]) for player in players]
    for player, term in zip(players_of(schema), terms, strict=True):
        if len(_outputs(term, monotone)) > 1:
            raise UsageError(f"interpretability.monotone names different classes for columns of the group {player!r}")
    both = [(*terms[first], *terms[second]) for first, second in pairs]
    kept = [term for term in both if len(_outputs(term, monotone)) < 2]
    return AdditiveNetworkConfig(columns, (*terms, *kept), len(terms), monotone)


def monotone_signs(
    schema: Sequence[ColumnSchema], claims: Mapping[str, bundle_pb2.Monotone], labels: Sequence[str]
) -> dict[int, int]:
    """For the places of numbers whether they raise (1) or lower (-1) the answer, of two classes the second one's.

    Empty for more classes: no trees of scikit-learn promise that.
    """
    if len(labels) > 2 and any(claim.HasField("label") for claim in claims.values()):
        return {}
    numbers = [column.name for column in schema if column.is_numeric]
    return {place: _monotone(place, claims[name], labels).sign for place, name in enumerate(numbers) if name in claims}


def _outputs(term: Sequence[int], monotone: Sequence[MonotoneFeature]) -> set[int]:
    return {one.output for one in monotone if one.feature in term}


def _monotone(feature: int, claim: bundle_pb2.Monotone, labels: Sequence[str]) -> MonotoneFeature:
    sign = -1 if claim.decreasing else 1
    if not claim.HasField("label"):
        return MonotoneFeature(feature, sign)
    output = list(labels).index(claim.label)
    # Of two classes what lowers the first raises the second: so all are of one output, and may stand in one term.
    return (
        MonotoneFeature(feature, -sign, 1)
        if len(labels) == 2 and output == 0
        else MonotoneFeature(feature, sign, output)
    )


def describe(
    schema: bundle_pb2.TabularSchema,
    shape: AdditiveNetworkConfig | None,
    claims: Mapping[str, bundle_pb2.Monotone],
    columns: Sequence[ColumnSchema],
) -> None:
    """Writes into a schema what the network is and promises."""
    for column in schema.columns:
        if column.name in claims:
            column.monotone.CopyFrom(claims[column.name])
    if shape is None:
        return
    schema.form = bundle_pb2.TABULAR_FORM_ADDITIVE if shape.additive else bundle_pb2.TABULAR_FORM_PAIRS
    schema.contributions = shape.additive
    names = {tuple(f for c in places for f in features_of(columns)[c]): n for n, places in players_of(columns).items()}
    for term in shape.terms[shape.players :]:
        first = next(single for single in names if term[: len(single)] == single and term[len(single) :] in names)
        schema.pairs.add(first=names[first], second=names[term[len(first) :]])
