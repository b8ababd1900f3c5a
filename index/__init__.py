"""Which earlier pins could match: terms, postings, segments, search."""
