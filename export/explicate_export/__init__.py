"""From a training run to a published bundle: ONNX conversion, comparison with torch, manifest, publication."""
