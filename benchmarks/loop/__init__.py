"""The loop: what it notices and how soon."""
