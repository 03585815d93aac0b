"""The Explicate server: predictions and their explanations over gRPC.

Layers, each knowing only those below it::

    app cli            the process: start, drain, stop
    rpc/               gRPC and protobuf stop here
    inference          one request, top to bottom: rows, game, estimator, answer
    explain/           estimators and their loop, pure numpy
    modalities/        an input becomes model rows and players
    registry/          bundles on disk, versions, leases
    runtime/           model runtimes and the batcher that feeds them

torch and transformers are never imported.
"""
