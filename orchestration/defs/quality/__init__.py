"""Quality: the gates as asset checks, and the runs that evaluate them."""
