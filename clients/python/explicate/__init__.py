"""Client for Explicate servers."""
