"""The explanation engine: coalitions in, attributions with their errors out. No I/O, no model, no thread.

`explain_game` runs any method on a plain function; the server drives `ExplanationRun` itself.
"""

from explicate_server.explain.attribution import Attribution
from explicate_server.explain.explain_game import GameExplanation, explain_game
from explicate_server.explain.game import Estimator, ExplanationError, GameInfo, NonFiniteValueError
from explicate_server.explain.method import Method
from explicate_server.explain.methods import METHODS
from explicate_server.explain.quality import Faithfulness, FaithfulnessCheck, Quality
from explicate_server.explain.refinement import refined
from explicate_server.explain.rounds import ExplanationRun, RunSettings, StopReason

__all__ = [
    "METHODS",
    "Attribution",
    "Estimator",
    "ExplanationError",
    "ExplanationRun",
    "Faithfulness",
    "FaithfulnessCheck",
    "GameExplanation",
    "GameInfo",
    "Method",
    "NonFiniteValueError",
    "Quality",
    "RunSettings",
    "StopReason",
    "explain_game",
    "refined",
]
