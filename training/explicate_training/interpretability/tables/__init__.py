"""Terms of models that read tables: which columns work together, which are monotone, read or forbidden."""
