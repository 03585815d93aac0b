"""The language of `explicate score --explain-if`: `grammar` reads it, `condition` says what its parts are true of."""
