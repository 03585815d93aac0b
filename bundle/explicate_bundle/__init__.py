"""The bundle, the contract between training, export and server, in code: no torch, no model runtime, no gRPC."""
