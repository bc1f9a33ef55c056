"""What every test needs to know about the NumPy it runs on."""

from __future__ import annotations

import numpy as np
from documents import show_scalars_as_numpy_1_does

if np.__version__.startswith("1."):
    show_scalars_as_numpy_1_does()

collect_ignore_glob = ["golden/*"]  # the programs there write golden files, and tests never run them
