"""A model's files: what belongs to it, where it comes from, and how it gets onto a disk whole."""
