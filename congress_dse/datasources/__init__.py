"""Datasource drivers: each turns one outside system into live tables."""
