"""What a model tells of itself, so that an explanation needs fewer coalitions, or none."""
