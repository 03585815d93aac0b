"""What a model answers to labelled rows, and what is measured of that: metrics, slices of the rows, suites of cases."""
