"""Decision trees of a finished graph, told to a server beside it."""

from explicate_export.trees.told_trees import add_trees

__all__ = ["add_trees"]
