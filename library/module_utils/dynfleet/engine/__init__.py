"""What an engine needs of its host: looked at, tried, reported."""
