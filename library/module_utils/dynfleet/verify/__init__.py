"""What verify looks at and how it judges it: HTTP answers, sockets, units, metrics."""
