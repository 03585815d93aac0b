"""Made-up training rows of rare classes."""
