#!/usr/bin/env python3
"""A loss to differentiate: how far a picture is from its own mirror image.

  mirror_loss.py OUTPUT.npy GRAD_OUTPUT.npy

For the tensor y in OUTPUT.npy and its mirror image z, with the last axis reversed,
the loss is a quarter of the sum of (y - z)^2. Its gradient with respect to y is
y - z, which is written to GRAD_OUTPUT.npy in the element type of y.

Needs numpy.
"""

import sys

import numpy


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    source, target = sys.argv[1:]
    y = numpy.load(source)
    gradient = y.astype(numpy.float64) - y[..., ::-1]
    numpy.save(target, gradient.astype(y.dtype))
    print(f"{target}: gradient of a loss of {(gradient ** 2).sum() / 4:.6g}")


if __name__ == "__main__":
    main()
