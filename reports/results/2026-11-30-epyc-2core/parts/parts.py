"""Error of x W^T with bf16 weights where x goes in one, two or three bf16 parts, products summed in f32; beside f64.

    python parts.py     # numpy alone
"""

import numpy


def bf16(x):
    """Rounded to the nearest, halves to even."""
    bits = x.astype("f4").view("u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype("u4").view("f4")


def parts(x, count):
    rest, found = x.astype("f4"), []
    for _ in range(count):
        found.append(bf16(rest))
        rest = rest - found[-1]
    return found


draw = numpy.random.default_rng(0)
for rows, d_out, d_in in [(448, 512, 192), (256, 1536, 576), (256, 576, 1536), (64, 1024, 4096)]:
    x, w = draw.standard_normal((rows, d_in)).astype("f4"), bf16(draw.standard_normal((d_out, d_in)) / d_in**0.5)
    wanted = x.astype("f8") @ w.T.astype("f8")
    far = lambda y: ((y - wanted) ** 2).sum() ** 0.5 / (wanted**2).sum() ** 0.5
    errors = [far(sum(part @ w.T for part in parts(x, count))) for count in [1, 2, 3]]
    print(f"{rows} x {d_out} x {d_in}: parts 1, 2, 3: {', '.join(f'{error:.1e}' for error in errors)}; f32: {far(x @ w.T):.1e}")
