"""What goes out: the API and what reads the warehouse from outside."""
