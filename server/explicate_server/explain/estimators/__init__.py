"""One file for each explanation method: it chooses coalitions and turns their values into attributions."""
