"""Nightly compaction and training: better folds of the same log."""
