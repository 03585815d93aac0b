"""Export of models that read texts."""
