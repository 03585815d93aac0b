"""SMOTENC: training rows of rare classes made up between one and its neighbours, until all classes are as frequent.

Chawla and others 2002, "SMOTE: Synthetic Minority Over-sampling Technique", section 6.1 for categories; by the library
imbalanced-learn. A number lies between those of two rows, a category is the most frequent one of the neighbours.
Whether a number is missing counts as a category, so made-up rows lack it where their neighbours do. Only training rows
are resampled: validation and test have the true shares of the classes.

A model of even classes answers as if they were even. What that does to its probabilities is told beside what they would
be with the true shares put back: p(class) · true share / even share (Saerens, Latinne, Decaestecker 2002).
"""

from collections.abc import Mapping, Sequence
from typing import Any  # imbalanced-learn's samplers

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.columns import TableRows
from explicate_training.table.config import TableConfig
from explicate_training.table.fitting import TableExamples
from explicate_training.table.resampling.resampling_options import ResamplingConfig
from explicate_training.tasks.task import Task

_FEWEST = 2


def check_resampling(config: TableConfig, task: Task) -> None:
    """Raises UsageError when rows cannot be resampled so, or another remedy is set, or the library is missing."""
    if config.resampling.method == "none":
        return
    if not task.one_of_classes:
        raise UsageError(
            f"resampling.method is smotenc, which makes up rows of rare classes, but the label is read as {task.name}: "
            "leave [resampling] out"
        )
    if config.training.imbalance != "none":
        raise UsageError(
            f"resampling.method is smotenc and training.imbalance {config.training.imbalance}: two remedies for rare "
            "classes, leave one of them out"
        )
    try:
        import imblearn  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(
            "resampling.method = \"smotenc\" needs imbalanced-learn: pip install 'explicate[resampling]'"
        ) from None


def resampled_rows(examples: TableExamples, options: ResamplingConfig, *, seed: int) -> TableExamples:
    """The rows, and behind them the made-up ones. Raises UsageError when a class has one row only."""
    counts = np.bincount(examples.targets)
    fewest = int(counts[counts > 0].min())
    if fewest < _FEWEST:
        raise UsageError("resampling.method: a class has one training row, and smotenc mixes two: add rows of it")
    numbers, missing, centre, scale = _filled(examples.encoded.numbers)
    lacking = np.flatnonzero(missing.any(axis=0))
    codes = np.concatenate([examples.encoded.codes, missing[:, lacking].astype(np.int64)], axis=1)
    sampler = _sampler(numbers.shape[1], codes.shape[1], neighbours=min(options.neighbours, fewest - 1), seed=seed)
    matrix, targets = sampler.fit_resample(np.concatenate([numbers, codes], axis=1), examples.targets)
    made = matrix[len(numbers) :]
    split, own = numbers.shape[1], examples.encoded.codes.shape[1]
    made_numbers = (made[:, :split] * scale + centre).astype(np.float32)
    made_codes = np.rint(made[:, split:]).astype(np.int64)
    for place, column in enumerate(lacking):
        made_numbers[made_codes[:, own + place] == 1, column] = np.nan
    return TableExamples(
        TableRows(
            np.concatenate([examples.encoded.numbers, made_numbers]),
            np.concatenate([examples.encoded.codes, made_codes[:, :own]]),
        ),
        np.asarray(targets, dtype=examples.targets.dtype),
    )


def _filled(
    numbers: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Numbers in standard deviations with their medians where missing, which are missing, and what was taken off."""
    missing = np.isnan(numbers)
    known = np.where(missing.all(axis=0), 0.0, numbers.astype(np.float64))
    centre = np.nanmedian(known, axis=0) if known.size else np.zeros(known.shape[1])
    filled = np.where(np.isnan(known), centre, known)
    scale = filled.std(axis=0)
    scale[scale == 0] = 1.0
    return (filled - centre) / scale, missing, centre, scale


def _sampler(numbers: int, codes: int, *, neighbours: int, seed: int) -> Any:
    from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

    if not codes:
        return SMOTE(k_neighbors=neighbours, random_state=seed)
    if not numbers:
        return SMOTEN(k_neighbors=neighbours, random_state=seed)
    return SMOTENC(list(range(numbers, numbers + codes)), k_neighbors=neighbours, random_state=seed)


def true_shares(targets: NDArray[Any], resampled: NDArray[Any]) -> NDArray[np.float64]:
    """What to add to the logits of a model of resampled rows for the true shares, float64 [classes]."""
    shares = [np.bincount(one, minlength=targets.max() + 1) / len(one) for one in (targets, resampled)]
    return np.asarray(np.log(shares[0]) - np.log(shares[1]))


def figures(
    labels: Sequence[str],
    targets: NDArray[Any],
    resampled: NDArray[Any],
    *,
    answered: Mapping[str, Any],
    corrected: Mapping[str, Any],
) -> dict[str, Any]:
    """What is recorded: rows of each class before and after, and what became of the probabilities of test rows.

    `answered` are the test metrics of the model as it is, `corrected` those with the true shares put back.
    """
    names = ("calibration_error", "brier", "log_loss")
    return {
        "method": "smotenc",
        "rows": {label: int((targets == place).sum()) for place, label in enumerate(labels)},
        "resampled": {label: int((resampled == place).sum()) for place, label in enumerate(labels)},
        "answered": {name: answered[name] for name in names if answered.get(name) is not None},
        "with_true_shares": {name: corrected[name] for name in names if corrected.get(name) is not None},
    }


def told(found: Mapping[str, Any]) -> str:
    """The same for the terminal."""
    grown = [
        f"{label} {count:,} to {found['resampled'][label]:,}"
        for label, count in found["rows"].items()
        if found["resampled"][label] != count
    ]
    distorted = " and ".join(
        f"{name.replace('_', ' ')} {value:.3f}, with the true shares of the classes put back "
        f"{found['with_true_shares'][name]:.3f}"
        for name, value in found["answered"].items()
        if name in ("calibration_error",)
    )
    return f"smotenc made up training rows ({', '.join(grown) or 'none'}); it distorts probabilities: test {distorted}"
