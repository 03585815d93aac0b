"""What a model answered beside what is right: how far a metric of it may be off."""
