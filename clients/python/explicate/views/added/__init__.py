"""What an explanation holds beside its attributions, as every view shows it."""
