"""Datasources: what turns outside systems into tables."""
