"""From inputs to model rows and players; one file per kind of input, one line each in the registry."""
