"""The first seed program in PyTorch."""

import sys

import numpy as np
import torch

draw = np.random.RandomState(0).randn
x, y, w1, w2 = (torch.from_numpy(draw(*shape)) for shape in ((64, 1000), (64, 10), (1000, 100), (100, 10)))
w1.requires_grad_()
w2.requires_grad_()
optimizer = torch.optim.SGD([w1, w2], 1e-6)
losses = []
for _ in range(int(sys.argv[1])):
    loss = (torch.relu(x @ w1) @ w2 - y).square().sum()
    losses.append(loss.detach())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(float(losses[-1]))
