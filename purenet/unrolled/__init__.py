"""A step of training written out as one function.

The general step asks at every layer what it is, whether it is traced, and which rule it has. For purenet's own layers,
losses and optimizer parts, and batches of one form, the answers are the same at every step. So a `Plan` asks once, and
the step is written down: Python source that calls one function after the other and builds the new records, as one would
by hand. The general step computes the same bits, and takes over where something has to be explained.
"""
