"""The command line on `.safetensors` files, which are written and read here by hand."""

import json
import os
import pathlib
import struct
import subprocess
import unittest

import numpy

from cli_case import (CLI, EMBEDDED, FILE, OK, USAGE, CliTest, backward, bfloat16_bits, forward,
                      from_bfloat16_bits)

DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
NAMES = {"<f2": "F16", "<f4": "F32", "<f8": "F64", "<u2": "BF16", "<i8": "I64"}


def encode(**tensors):
    """The bytes of a file, as the format's own library lays them out."""
    header, data = {"__metadata__": {"format": "np"}}, b""
    for name, array in tensors.items():
        begin = len(data)
        data += array.tobytes()
        header[name] = {"dtype": NAMES[array.dtype.str], "shape": array.shape,
                        "data_offsets": [begin, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def decode(contents):
    """The tensors of a file by name; every byte is accounted for."""
    (size,) = struct.unpack_from("<Q", contents)
    header = json.loads(contents[8:8 + size])
    tensors, end = {}, 0
    for name, entry in header.items():
        begin, stop = entry["data_offsets"]
        assert begin == end, header
        end = stop
        tensors[name] = numpy.frombuffer(contents[8 + size:][begin:stop],
                                         DTYPES[entry["dtype"]]).reshape(entry["shape"])
    assert 8 + size + end == len(contents), header
    return tensors


class Safetensors(CliTest):
    def write(self, name, **tensors):
        pathlib.Path(self.path(name)).write_bytes(encode(**tensors))
        return self.path(name)

    def read(self, name, tensor):
        tensors = decode(pathlib.Path(self.path(name)).read_bytes())
        self.assertEqual(list(tensors), [tensor])
        return tensors[tensor]

    def test_forward_and_backward_agree_with_numpy(self):
        x, dy = self.normal(2, 6, 5, dtype="f8"), self.normal(2, 6, 5, dtype="f8")
        weight, bias = self.normal(6), self.normal(6, dtype="f2")
        model = self.write("model.safetensors", **{
            "norm.weight": weight, "norm.bias": bias, "step": numpy.array([7])})
        call = [self.write("x.safetensors", x=x), "--num-groups", 3, "--weight",
                f"{model}:norm.weight"]
        self.assertEqual(
            self.succeed("forward", *call, "--bias", f"{model}:norm.bias", "-o",
                         self.path("y.safetensors"), "--mean-output",
                         self.path("mean.safetensors"), "--rstd-output",
                         self.path("r.safetensors:1/std: \"é\"")), EMBEDDED)
        y, mean, rstd = forward(x, 3, weight.astype("f8"), bias.astype("f8"), 1e-5)
        numpy.testing.assert_allclose(self.read("y.safetensors", "output"), y, rtol=1e-11,
                                      atol=1e-11)
        numpy.testing.assert_allclose(self.read("mean.safetensors", "mean"), mean, atol=1e-12)
        numpy.testing.assert_allclose(self.read("r.safetensors", "1/std: \"é\""), rstd,
                                      rtol=1e-11)
        self.succeed("backward", *call, self.write("dy.safetensors", anything=dy), "--mean",
                     self.path("mean.safetensors"), "--rstd", self.path("r.safetensors"),
                     "--grad-input", self.path("dx.safetensors"), "--grad-weight",
                     self.path("dw.safetensors"), "--grad-bias", self.path("db.npy"))
        dx, dw, db = backward(x, dy, 3, weight.astype("f8"), mean, rstd, frozen=False)
        numpy.testing.assert_allclose(self.read("dx.safetensors", "grad_input"), dx,
                                      rtol=1e-11, atol=1e-11)
        numpy.testing.assert_allclose(self.read("dw.safetensors", "grad_weight"),
                                      dw.sum(axis=0), rtol=1e-5, atol=1e-5)
        numpy.testing.assert_allclose(self.load("db.npy"), db.sum(axis=0), rtol=1e-5,
                                      atol=1e-5)

    def test_every_element_type_comes_back_in_its_own(self):
        for dtype in ("f2", "f4", "f8", "u2"):
            x = self.normal(2, 4, 3, dtype="f8")
            x = bfloat16_bits(x) if dtype == "u2" else x.astype(dtype)
            self.succeed("forward", self.write("x.safetensors", x=x), "--num-groups", 2, "-o",
                         self.path("y.safetensors"))
            y = self.read("y.safetensors", "output")
            self.assertEqual((y.dtype, y.shape), (x.dtype, x.shape))
            # The bytes of the elements do not depend on the format of the file.
            self.save("x.npy", x)
            more = ["--dtype", "bfloat16"] if dtype == "u2" else []
            self.succeed("forward", self.path("x.npy"), "--num-groups", 2, *more, "-o",
                         self.path("y.npy"))
            self.assertEqual(self.load("y.npy").tobytes(), y.tobytes())

    def test_bfloat16_needs_no_flag_and_mixes_with_npy(self):
        x = bfloat16_bits(self.normal(2, 4, 3))
        weight = self.save("w.npy", bfloat16_bits(self.normal(4)))
        call = ["forward", self.write("x.safetensors", x=x), "--num-groups", 2]
        self.succeed(*call, "-o", self.path("y.npy"))
        y, _, _ = forward(from_bfloat16_bits(x), 2, numpy.ones(4), numpy.zeros(4), 1e-5)
        self.assertEqual(self.load("y.npy").dtype, numpy.uint16)
        numpy.testing.assert_allclose(from_bfloat16_bits(self.load("y.npy")), y, rtol=2**-8,
                                      atol=1e-6)
        self.fail_with(FILE, "w.npy: element type '<u2', expected float16", *call, "--weight",
                       weight, "-o", self.path("y.npy"))
        self.succeed(*call, "--weight", weight, "--dtype", "bfloat16", "-o",
                     self.path("y.npy"))
        self.fail_with(FILE, "x.safetensors: FLOAT32, expected BFLOAT16", "forward",
                       self.write("x.safetensors", x=self.normal(2, 4, 3)), "--num-groups", 2,
                       "--dtype", "bfloat16", "-o", self.path("y.npy"))

    def test_verify_takes_them(self):
        file = self.write("all.safetensors", x=bfloat16_bits(self.normal(2, 6, 5)),
                          dy=bfloat16_bits(self.normal(2, 6, 5)), w=self.normal(6))
        done = self.run_cli("verify", f"{file}:x", "--num-groups", 3, "--grad-output",
                            f"{file}:dy", "--weight", f"{file}:w")
        self.assertEqual((done.returncode, done.stderr), (OK, EMBEDDED), done.stdout)
        self.assertIn(f"{file}:x: BFLOAT16 [2, 6, 5], 3 groups; grad_output: {file}:dy\n",
                      done.stdout)

    def test_other_tensors_are_not_replaced(self):
        x = self.write("x.safetensors", x=self.normal(2, 6, 4))
        model = self.write("model.safetensors", a=self.normal(3), b=self.normal(3))
        before = pathlib.Path(model).read_bytes()
        for name in (model, f"{model}:a"):
            self.fail_with(FILE, f"{model}: holds 2 tensors, and would be replaced by one",
                           "forward", x, "--num-groups", 3, "-o", name)
        self.assertEqual(pathlib.Path(model).read_bytes(), before)
        self.succeed("forward", x, "--num-groups", 3, "-o", f"{x}:x")
        self.assertEqual(self.read("x.safetensors", "x").shape, (2, 6, 4))
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["model.safetensors", "tmp", "x.safetensors"])

    @unittest.skipIf(os.environ.get("GROUPNORM_SANITIZE"), "sanitizers need memory of their own")
    def test_a_header_of_refused_values_takes_no_memory(self):
        file = pathlib.Path(self.path("x.safetensors"))
        for header in (b'{"x":[[[' + b"{}," * 5_000_000 + b"{}]]]}",
                       b'{"x":[' + b"0," * 500_000 + b"{}," * 4_500_000 + b"{}]}"):
            file.write_bytes(struct.pack("<Q", len(header)) + header)
            with subprocess.Popen([CLI, "forward", file, "--num-groups", "3", "-o",
                                   self.path("y.npy")], stderr=subprocess.PIPE) as process:
                self.assertIn(b"nested deeper than the entries of a tensor are",
                              process.stderr.read())
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, FILE)
            # A value for each of them would be 350 MB.
            self.assertLess(usage.ru_maxrss, 200 << 10)

    def test_mistakes_get_one_line(self):
        file = self.write("x.safetensors", x=self.normal(2, 6, 4), i=numpy.zeros(3, "i8"))
        y = self.path("y.safetensors")
        for name, fault in (
                ("", ": 2 tensors, expected one, or its name as in FILE.safetensors:NAME; "
                     'there are "x", "i"'),
                (":y", ': no tensor "y"; there are "x", "i"'),
                (":", ': "", expected the name of a tensor behind the colon'),
                (":i", ': tensor "i": dtype "I64", expected F32, F64, F16 or BF16')):
            self.fail_with(FILE, file + fault, "forward", file + name, "--num-groups", 3, "-o",
                           y)
        call = ["forward", f"{file}:x", "--num-groups", 3, "-o"]
        self.fail_with(FILE, f'{y}: "__metadata__", expected the name of a tensor', *call,
                       f"{y}:__metadata__")
        self.fail_with(USAGE, "y.safetensors: named for two results, expected a file for each",
                       *call, f"{y}:y", "--mean-output", f"{y}:mean")
        self.fail_with(FILE, "none/y.safetensors: No such file or directory", *call,
                       self.path("none/y.safetensors:y"))
        self.save("npy", self.normal(2, 6, 4))
        os.rename(self.path("npy.npy"), self.path("npy.safetensors"))
        self.fail_with(FILE, "npy.safetensors: a header of ", "forward",
                       self.path("npy.safetensors"), "--num-groups", 3, "-o", y)
        self.fail_with(FILE, "x.st: not a .npy file; save it with numpy.save, or name it "
                       ".safetensors", "forward", pathlib.Path(file).rename(self.path("x.st")),
                       "--num-groups", 3, "-o", y)
        self.assertEqual(sorted(os.listdir(self.folder)), ["npy.safetensors", "tmp", "x.st"])


if __name__ == "__main__":
    unittest.main(verbosity=2)  # Which names what it skips.
