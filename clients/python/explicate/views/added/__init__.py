"""What an explanation tells beside the attributions, in words and as HTML."""
