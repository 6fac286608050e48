"""From the facts of a host and the wishes of a site to a list of workers."""
