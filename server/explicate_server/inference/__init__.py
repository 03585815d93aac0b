"""One request from its input to its answer: predict and explain."""
