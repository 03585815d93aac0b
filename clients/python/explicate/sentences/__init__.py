"""What an explanation says, in sentences for people without training: never more than its figures allow.

`claims` finds in the `told_figures` what may be said, as objects; a claim gives a sentence by the templates of a
language, a file in `languages/`. The server puts the sentences into its answer, and the client's reasons are made of
the same claims, so that the two cannot contradict each other.
"""
