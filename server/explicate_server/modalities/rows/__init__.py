"""Tables beside `table.py`: packed rows, games, what columns may become, and what a model tells of itself."""
