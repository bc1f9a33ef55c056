"""The one table of calls on which every law about derivative rules is tested."""

from __future__ import annotations

from array_cases import array_cases
from case_makers import Case
from number_cases import number_cases

CASES: list[Case] = [*number_cases(), *array_cases()]
"""A label begins with the function that the row is about."""
