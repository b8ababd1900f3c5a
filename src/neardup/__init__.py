"""neardup: near-duplicate images found in a stream, for good.

The packages below this one stand at the root of the repository (``schemas/``, ``models/`` ...)
and are linked here; ARCHITECTURE.md says which question each of them answers.
"""

__version__ = "0.1.0"
