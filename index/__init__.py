"""Which earlier pins could match: terms, postings, segments, search.

Arrays in, arrays out: nothing here knows Spark, Kafka or Delta. The parts, from the bits up:

- ``terms``: sampled sign bits (bands) and the terms they give; the arithmetic of recall.
- ``varbyte``: ascending lists as gaps in variable-byte code.
- ``blocks``: the frame around every stored block: kind, version, place, checksum.
- ``postings``: one band of a segment: term -> ordinals, in memory (CSR) and as bytes.
- ``ids``: 128-bit hashes of pin ids, and the sorted table that finds them.
- ``segment``: build a segment's blocks, decode them; what a segment holds.
- ``cache``: decoded segments of this host in memory-mapped files, within a limit of bytes.
- ``search``: terms -> overlap counts -> Hamming distance -> candidates.
- ``hamming``: the brute-force scan: for pins in no segment yet, and the oracle of ``search``.
- ``intrinsics``: popcount and prefetch for the compiled loops.
- ``policy``: when the memtable becomes a segment; which task searches which segments.
- ``store``: signatures and pin ids by ordinal, for the driver.

A pin is searchable from its own micro-batch on: by ``hamming`` while it is in the memtable, by
``search`` once its segment is built. Both report the same pairs, with the same overlap.
"""
