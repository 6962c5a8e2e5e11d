"""What runs an actor and waits for it; one choice for each process."""
