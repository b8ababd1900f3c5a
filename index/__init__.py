"""Which earlier pins could match: terms, postings, segments, search, and who need not be searched.

Arrays in, arrays out: nothing here knows Spark or Kafka. The parts, from the bits up:

- ``terms``: sampled sign bits in bands; a plan says when two signatures match in one.
- ``arithmetic``: the chance of that, for a share of differing bits.
- ``varbyte``: ascending lists as gaps in variable-byte code.
- ``blocks``: the frame around every stored block: kind, version, place, checksum.
- ``postings``: one band of a segment: lists of pins by term, compressed, and packed in memory.
- ``ids``: 128-bit hashes of pin ids, and the sorted table that finds them.
- ``segment``: build a segment's blocks, decode them; what a segment holds.
- ``cache``: decoded segments of this host in memory-mapped files, within a limit of bytes.
- ``matching``, ``lanes``: a search's probes -> the entries that match, eight compared at once.
- ``search``: probes -> entries -> overlap counts -> Hamming distance -> candidates.
- ``hamming``: the brute-force scan: for pins in no segment yet, and the oracle of ``search``.
- ``intrinsics``: four instructions for the compiled loops.
- ``exemplars``: who is indexed, and who answers for those that are not.
- ``policy``: when to flush, to merge, to build again; which task searches which segments.
- ``store``: signatures and pin ids by ordinal, for the driver.
- ``vectors``: all of it for float vectors of any kind, in memory.

The planner, which chooses a plan for a lake:

- ``sample``, ``density``: signatures and links, and what they say of the space.
- ``curves``: what plans would find and read, counted on the sample.
- ``calibrate``, ``costs``: this machine's price of each step.
- ``weighing``, ``planner``: every plan's recall, seconds and bytes; the one to take.
- ``lake_sample``, ``lake_plan``, ``plans``, ``explain``: of a lake, for a lake, stored, in words.

A pin is searchable from its own micro-batch on: by ``hamming`` while it is in the memtable, by
``search`` once its segment is built. Both report the same pairs, with the same overlap.
"""
