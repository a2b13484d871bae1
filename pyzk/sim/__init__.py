"""A world in one process and one thread: servers with their disks, the network between them, clocks, crashes.

Everything that is left to chance is drawn from one generator, so that a seed says all about a run. What runs in it is
the production code. A checker looks at every server after every step.
"""
