"""Who belongs together: arrays in, arrays out.

- ``evidence``: what a pair says, as log-odds; the objective of stream and batch.
- ``fold``: the stream's clusters, pin by pin: ``attach`` decides, ``seats`` changes, ``treap``
  holds members, ``columns`` are the arrays.
- ``components``: connected components, whole or in parts.
- ``component``: the parts of one component of any size: ``loosen``, ``kcut``, ``mend``.
- ``kcut``: of a bounded one: ``optimum`` of a few pins, else ``climb`` by ``moves``,
  ``contraction`` and ``bisection``.
- ``identity``, ``heads``: ids that stay, history; who stands for a cluster.
- ``overrides``: what people said, and why some of it is refused.
- ``quality``: how well two partitions agree, and what changed.
- ``ledger``: from the log's rows to the fold and back.
"""
