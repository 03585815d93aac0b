"""How rows of tables are measured."""
