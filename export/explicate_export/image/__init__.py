"""Export of models that see images."""
