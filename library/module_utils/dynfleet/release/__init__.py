"""A release on a host: made beside the others, switched to in one step, pruned."""
