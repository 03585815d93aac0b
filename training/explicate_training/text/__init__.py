"""Fine-tuning of models that read texts."""
