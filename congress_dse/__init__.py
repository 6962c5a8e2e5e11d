"""A data services engine: actors on a message bus turn outside systems into live tables."""
