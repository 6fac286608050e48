"""Checks of what a site wrote, before any host is touched: from a plain model to problems."""
