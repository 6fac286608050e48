"""The wheels of a release: locks, names, downloads, and where each comes from."""
