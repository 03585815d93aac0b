"""Bundles in MLflow's model registry: `explicate mlflow push` and `pull`.

A registered model version's artifact is the folder of a bundle, as it is in a repository. Needs `explicate[mlflow]`.
"""
