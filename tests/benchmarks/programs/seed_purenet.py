"""The first seed program in purenet."""

import sys
from itertools import repeat

import numpy as np
from toolz import reduce

import purenet as pn

draw = np.random.RandomState(0).randn
x, y = draw(64, 1000), draw(64, 10)
w1, w2 = draw(1000, 100), draw(100, 10)

net = pn.Sequential((pn.Dense(w1), pn.Relu(), pn.Dense(w2)))
optimizer = pn.sgd(1e-6)
step = pn.make_step(pn.objective(pn.losses.sum_squared_error), optimizer)
end = reduce(step, repeat((x, y), int(sys.argv[1])), pn.init_state(net, optimizer))
print(float(end.loss))
