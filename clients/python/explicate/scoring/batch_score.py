"""`explicate.score`: a run from its options to its result."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Literal, Protocol, TypedDict, Unpack, cast

import pyarrow.parquet as pq

from explicate._wire.channel import DEFAULT_TARGET
from explicate.async_client import AsyncClient
from explicate.errors import ExplicateError, UsageError
from explicate.in_flight import InFlight, Turns
from explicate.model_info import ModelDescription
from explicate.options import ExplainOptions, Priority
from explicate.scoring.asking import Asker, Question, in_turn
from explicate.scoring.interfaces import Condition, InputOptions, Source
from explicate.scoring.output_columns import ExplanationLayout, OutputColumns
from explicate.scoring.output_folder import OutputFolder
from explicate.scoring.row_answers import outcome_of
from explicate.scoring.run_manifest import MANIFEST, PinnedModel, Plan, RunManifest, schema_document
from explicate.scoring.scorer import MostFailed, Scorer, Tally

CALL_TIMEOUT_S = 300.0
"""Seconds of a call unless said otherwise: nobody waits for it, and what it ends is done again."""

PREDICTED_PART_ROWS, EXPLAINED_PART_ROWS = 10_000, 500
"""Rows of a part unless said otherwise: what a kill costs at most, for each part that is under way."""

_PACKED_CALL_ROWS, _CALL_ITEMS = 1000, 128
_EXPLAINED_BATCH_ROWS = 50
