"""What a bundle is held to: metrics of how well its model can be explained, measured as a server serves it."""

import os

# As in explicate_server.runtime: before ONNX Runtime is imported, or it tells its maker what is measured.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
