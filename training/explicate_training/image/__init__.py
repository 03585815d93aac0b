"""Fine-tuning of models that see images."""
