"""Real masters and real workers, on the loopback interface only."""
