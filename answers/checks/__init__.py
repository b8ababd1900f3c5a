"""What must always hold of a lake's tables, check by check; `answers.verify` runs them."""
