"""Links: they join the cages of several processes, on one host or on many, to one bus."""
