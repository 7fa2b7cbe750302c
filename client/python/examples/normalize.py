#!/usr/bin/env python3
"""Normalizes a batch, computes its gradients, and checks the mean of every group.

  examples/normalize.py [ADDRESS]
"""

import sys

import numpy as np

import groupnorm


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    generator = np.random.default_rng(1)
    x = generator.normal(5, 3, (2, 6, 4, 4)).astype(np.float32)
    weight = np.full(6, 2, np.float32)
    with groupnorm.Client(address) as client:
        print("server", client.server_info().version)
        result = client.forward(x, 3, weight=weight)
        print("largest mean of a group",
              f"{np.abs(result.output.reshape(2, 3, -1).mean(axis=2)).max():.1e}")
        gradients = client.backward(
            np.ones_like(x), x, 3, weight=weight,
            statistics=groupnorm.Statistics(result.mean, result.rstd))
        print("gradient of bias", gradients.grad_bias)
        try:
            client.forward(x, 4)
        except groupnorm.InvalidArgumentError as error:
            print("refused:", error)


if __name__ == "__main__":
    main()
