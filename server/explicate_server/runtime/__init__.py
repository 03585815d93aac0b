"""Model runtimes behind one small interface, and the batcher that feeds them."""

import os

# ONNX Runtime from 1.29 on tells its maker which models it loads, unless it finds this when it is imported: the modules
# of this package are, so it is set here. An operator who sets it otherwise is obeyed.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
