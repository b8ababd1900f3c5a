"""Claims about speed, measured with a peer in the same run."""
