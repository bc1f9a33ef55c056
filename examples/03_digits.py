"""Handwritten digits: read a table, hold out a fifth of it, train a classifier on the rest, and test it.

The data (see `digits/SOURCE.md`) is 1,797 images of 8x8 pixels: a row of 64 numbers each, and the digit that it shows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from toolz import accumulate, drop, take, take_nth

import purenet as pn

TABLE = Path(__file__).parent / "digits" / "digits.csv.gz"
STEPS = 600


def accuracy(net: pn.Sequential, data: pn.Dataset) -> float:
    """The fraction of images whose largest output is that of the digit they show."""
    return float(np.mean(np.argmax(pn.forward(net, data.x), axis=1) == data.y))


def held_out_accuracy() -> float:
    """Train on four fifths of the images, printing the loss now and then; the accuracy on the other fifth."""
    split_key, net_key, run_key = pn.split(pn.key(0), 3)
    table = pn.read_csv(TABLE)
    digits = pn.to_dataset(table, target="digit", task="classification").dataset
    train, test = pn.train_test_split(digits, split_key, test_fraction=0.2)

    # What is known about the pixels is known from the training part; both parts are shifted and scaled by it.
    prepare = pn.standardize(train.x)
    train, test = (pn.Dataset(prepare(part.x), part.y) for part in (train, test))

    net = pn.mlp(net_key, (64, 128, 10))
    optimizer = pn.adam(pn.schedules.cosine(3e-3, steps=STEPS))
    step = pn.make_step(pn.objective(pn.losses.softmax_cross_entropy), optimizer)
    batches = pn.Batches(train, size=64, key=run_key)

    states = accumulate(step, take(STEPS, batches), pn.init_state(net, optimizer))
    for end in drop(1, take_nth(100, states)):
        print(f"step {end.step}  loss {end.loss:.4f}  accuracy on the training part {accuracy(end.net, train):.3f}")
    return accuracy(end.net, test)


def main() -> None:
    """Print the accuracy on the images that were held out."""
    print(f"accuracy on images never seen: {held_out_accuracy():.4f}")


if __name__ == "__main__":
    main()
