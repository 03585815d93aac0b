"""Files, labels and splits: what all kinds of data share."""
