"""Tolerances in units of rounding, so that they hold on any processor.

Another processor, number of threads or library adds in another order, fuses a product with a sum, or
has an exponential that is off in the last place. Each operation moves a result by at most ``eps``
times the size of the numbers it works on; a test says how many operations there are, and how large
the numbers. Operations are counted generously: a tolerance ten times too wide still finds a wrong
formula, one that is too narrow fails on somebody's machine.
"""

# The distance from 1 to the next number: torch.finfo(dtype).eps.
F64, F32, BF16 = 2.0**-52, 2.0**-23, 2.0**-7


def rounding(operations: float, size: float = 1.0, eps: float = F64) -> float:
    """Return the largest error of that many operations on numbers of at most ``size``."""
    return operations * eps * size


def within(operations: float, size: float = 1.0, eps: float = F64) -> dict[str, float]:
    """Return the same as arguments of ``assert_close`` and ``assert_allclose``."""
    return {"rtol": 0.0, "atol": rounding(operations, size, eps)}


def within_share(operations: float, eps: float = F64) -> dict[str, float]:
    """Return the same for numbers of any size, of which each is right to so many roundings."""
    return {"rtol": operations * eps, "atol": 0.0}
