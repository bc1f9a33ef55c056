"""PyTorch with `torch.compile`, which needs a C++ compiler."""

from __future__ import annotations

from benchmarks.peers import Training
from benchmarks.peers.torch_eager import trained
from benchmarks.workloads import Workload


def training(workload: Workload) -> Training:
    """Forward and backward pass compiled into one graph each; the fused optimizer is one call already."""
    import torch

    torch.compiler.reset()
    return trained(workload, torch.compile)
