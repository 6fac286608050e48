"""Day 2: what takes workers out of service and back, and decides in which order."""
