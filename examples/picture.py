#!/usr/bin/env python3
"""Converts between pictures and tensors in .npy files.

  picture.py tensor PICTURE TENSOR.npy [--size PIXELS] [--dtype float16]
      Makes a tensor of shape (1, 3, height, width) of the 8-bit values 0 to 255
      as they are: float16, float32 and float64 hold them exactly. --size cuts the
      largest square from the middle and scales it.

  picture.py picture TENSOR.npy PICTURE [--range LOW HIGH]
      Makes a picture of a tensor of shape (1, 3, height, width): LOW becomes 0,
      HIGH becomes 255, what lies between follows linearly, what lies outside is
      cut off. Without --range, LOW and HIGH are the 0.5th and the 99.5th
      percentile of the values.

Needs numpy and Pillow.
"""

import argparse

import numpy
from PIL import Image


def to_tensor(options):
    picture = Image.open(options.source).convert("RGB")
    if options.size:
        side = min(picture.size)
        left, top = ((extent - side) // 2 for extent in picture.size)
        picture = picture.resize((options.size, options.size), Image.LANCZOS,
                                 box=(left, top, left + side, top + side))
    pixels = numpy.asarray(picture)  # (height, width, 3)
    tensor = numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None], options.dtype)
    numpy.save(options.target, tensor)
    print(f"{options.target}: {tensor.dtype} {list(tensor.shape)}, "
          f"values {tensor.min():g} to {tensor.max():g}")


def to_picture(options):
    tensor = numpy.load(options.source).astype(numpy.float64)
    if tensor.ndim != 4 or tensor.shape[:2] != (1, 3):
        raise SystemExit(f"{options.source}: shape {list(tensor.shape)}, "
                         "expected [1, 3, height, width]")
    low, high = options.range or numpy.percentile(tensor, [0.5, 99.5])
    if not low < high:
        raise SystemExit(f"range {low:g} to {high:g}, expected the first value "
                         "below the second")
    pixels = numpy.clip((tensor[0] - low) / (high - low), 0, 1) * 255
    pixels = numpy.rint(pixels).astype(numpy.uint8).transpose(1, 2, 0)
    Image.fromarray(pixels).save(options.target)
    print(f"{options.target}: {pixels.shape[1]} x {pixels.shape[0]} pixels, "
          f"values {low:.4g} to {high:.4g} shown as 0 to 255")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    tensor = commands.add_parser("tensor", help="picture to tensor")
    tensor.add_argument("--size", type=int)
    tensor.add_argument("--dtype", default="float32",
                        choices=["float16", "float32", "float64"])
    tensor.set_defaults(run=to_tensor)

    picture = commands.add_parser("picture", help="tensor to picture")
    picture.add_argument("--range", nargs=2, type=float, metavar=("LOW", "HIGH"))
    picture.set_defaults(run=to_picture)

    for command in (tensor, picture):
        command.add_argument("source")
        command.add_argument("target")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
