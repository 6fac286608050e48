"""Load on the service by clients that check every answer: what a fault or a roll cost them."""
