"""Portable arithmetic as a transformation: values that follow the numeric contract, and the way in and out."""
