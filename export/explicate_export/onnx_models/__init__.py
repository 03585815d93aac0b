"""Bare ONNX files, described by a bundle.toml beside them."""
