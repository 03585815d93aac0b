"""The options of a training run and the files they come from."""
