"""Models that somebody else made: what `explicate bundle` takes, one file for each source of models.

`sources` lists them; `bundle_command` is the command line; `given_rows` reads the inputs.
"""
