"""Wheels built from Git at a pinned commit, kept by the digest of what went into them."""
