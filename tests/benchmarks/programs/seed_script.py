"""The first seed program: its data, steps and hand-written gradients; the losses are kept, the last is printed."""

import sys

import numpy as np

draw = np.random.RandomState(0).randn
x, y = draw(64, 1000), draw(64, 10)
w1, w2 = draw(1000, 100), draw(100, 10)

learning_rate = 1e-6
losses = []
for _ in range(int(sys.argv[1])):
    h = x.dot(w1)
    h_relu = np.maximum(h, 0)
    y_pred = h_relu.dot(w2)
    losses.append(np.square(y_pred - y).sum())

    grad_y_pred = 2.0 * (y_pred - y)
    grad_w2 = h_relu.T.dot(grad_y_pred)
    grad_h_relu = grad_y_pred.dot(w2.T)
    grad_h = grad_h_relu.copy()
    grad_h[h < 0] = 0
    grad_w1 = x.T.dot(grad_h)

    w1 -= learning_rate * grad_w1
    w2 -= learning_rate * grad_w2
print(float(losses[-1]))
