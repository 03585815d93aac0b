"""How texts are measured."""
