"""OpenStack's drivers against real services, which are installed and started here on loopback."""
