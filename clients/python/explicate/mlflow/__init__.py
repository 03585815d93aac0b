"""Explicate as a target of MLflow's deployments: `mlflow.deployments.get_deploy_client("explicate")`.

`deployments` is the plugin, which MLflow finds by its entry point. `explicate_export.mlflow` brings bundles into
MLflow's registry and out of it.
"""
