"""What may go wrong, each driven through a person's command, and what must be answered."""
