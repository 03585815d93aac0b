"""A benchmark standard: the file that says what a model must reach, and the verdict on one that was measured."""
