#!/usr/bin/env bash
# Measures every row of the kernels and writes bench/results/ and their tables in
# bench/README.md; bench/compare_service.py measures the service. Takes options of
# bench/compare.py for all rows, as in
#
#   scripts/bench.sh --targets avx512,avx2 --torch_python PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."

# The first Python that can draw: another one may come before Debian's on the PATH.
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import matplotlib' 2>/dev/null; then break; fi
done

cmake --preset release
cmake --build --preset release --target kernel_bench
for direction in forward backward; do
  for dtype in float32 float64 float16 bfloat16; do
    "$python" -B bench/compare.py --filter "^$direction/$dtype/" \
      --output "bench/results/${direction}_$dtype.json" "$@"
  done
done
"$python" -B bench/report.py
