"""Where a model errs, and on what grounds: slices that were found, and confusions with their attributions."""
