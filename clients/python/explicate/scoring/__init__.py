"""Batch scoring: many rows from files, each with its prediction and its reasons, to Parquet; `explicate score`.

    explicate.score("credit", "in/*.parquet", "out", explain="kernel-shap", seed=0)

The function and the command are one. `interfaces` has what the scorer asks of its parts: the inputs are a `Source`, the
choice of the rows to explain a `Condition`. (The package is not called `score`: as an
attribute of `explicate` it would hide the function.) Nothing of this is imported by `import explicate`; it needs
pyarrow, the extra `explicate[batch]`.
"""
