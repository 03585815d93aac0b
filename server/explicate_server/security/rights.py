"""Which right every RPC asks for: one table, so that an exposed port has no call that nobody thought of.

A call that is not in it asks for ADMIN, and a test fails as long as the running server has one.
"""

from collections.abc import Mapping
from enum import Enum


class Right(Enum):
    """What a token may do; the words that stand in the file of tokens."""

    PREDICT = "predict"
    EXPLAIN = "explain"
    ADMIN = "admin"


Need = frozenset[Right]
"""The rights of which one is enough; none at all: the call is open to everybody."""

OPEN: Need = frozenset()
ANY_TOKEN: Need = frozenset(Right)
_PREDICT: Need = frozenset({Right.PREDICT})
_EXPLAIN: Need = frozenset({Right.EXPLAIN})
ADMIN: Need = frozenset({Right.ADMIN})

_INFERENCE = "explicate.v1.InferenceService"
_MODELS = "explicate.v1.ModelService"
NEEDS: Mapping[str, Need] = {
    f"{_INFERENCE}/Predict": _PREDICT,
    # An explanation holds the prediction as well, and costs hundreds of times more.
    f"{_INFERENCE}/Explain": _EXPLAIN,
    f"{_INFERENCE}/StreamExplain": _EXPLAIN,
    f"{_MODELS}/ListModels": ANY_TOKEN,
    f"{_MODELS}/GetModel": ANY_TOKEN,
    f"{_MODELS}/WatchModels": ANY_TOKEN,
    f"{_MODELS}/LoadModel": ADMIN,
    f"{_MODELS}/UnloadModel": ADMIN,
    f"{_MODELS}/ActivateVersion": ADMIN,
    f"{_MODELS}/RollbackModel": ADMIN,
    f"{_MODELS}/RemoveLabel": ADMIN,
    f"{_MODELS}/SetTraffic": ADMIN,
    # Orchestrators and balancers ask without a token, and learn the names of models they already know only.
    "grpc.health.v1.Health/Check": OPEN,
    "grpc.health.v1.Health/List": ANY_TOKEN,  # it names every model
    "grpc.health.v1.Health/Watch": OPEN,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ANY_TOKEN,
}


def need(method: str) -> Need:
    """What a call asks for, by gRPC's name of its method, ``/package.Service/Method``."""
    return NEEDS.get(method.removeprefix("/"), ADMIN)
