"""What every Explicate server must do, whatever it is made of.

Subclass it (`from contract.inference_contract import InferenceContract`) in a module with two fixtures: `target`, the
server's address, and `model`, the name of a text classifier with the labels "other" and "great". The tests block, so
the server must run in another process or thread. They ask through the public client, and through bare gRPC where the
client would not send what they need. Tolerances allow for a row's numbers differing in the last bits with the batch it
is in.
"""

from __future__ import annotations

from contract.explanation_contract import ExplanationContract
from contract.inspection_contract import InspectionContract
from contract.methods_contract import MethodsContract
from contract.prediction_contract import PredictionContract
from contract.refusal_contract import RefusalContract


class InferenceContract(PredictionContract, ExplanationContract, MethodsContract, RefusalContract, InspectionContract):
    """All of it. The parts may be subclassed alone."""
