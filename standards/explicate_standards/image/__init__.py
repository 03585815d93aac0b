"""How images are measured."""
