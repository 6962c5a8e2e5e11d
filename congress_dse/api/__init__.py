"""The REST API: a machine that turns a request into a response, its routes, and its host."""
