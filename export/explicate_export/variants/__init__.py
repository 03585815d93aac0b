"""Variants of model.onnx in other precisions: how they are made, and whether they keep what they stand for."""
