"""Data sets of the papers, made on the fly: base images, scenes, videos, overlays, label maps, corruptions, sheets.

Every generator is a pure function of (base images, seed, sizes): the same bytes on every machine, and sample i does not
depend on how many are asked for. Needs numpy and scikit-learn; TFDS and matplotlib only where they are used.
"""
