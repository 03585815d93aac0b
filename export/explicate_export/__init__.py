"""From a training run to a published bundle: ONNX conversion, comparison with torch, manifest, publication."""

import os

# As in explicate_server.runtime: before ONNX Runtime is imported, or it tells its maker what is exported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
