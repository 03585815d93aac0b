"""The Open Inference Protocol, ``inference.GRPCInferenceService``: the calls of Triton's and KServe's clients.

They pass the same reception as our own calls, and are answered by the same predictor, explainer and registry.
"""
