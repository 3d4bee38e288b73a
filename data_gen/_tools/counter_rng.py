"""Random numbers addressed by counters: a pure function of (seed, counters), vectorized, the same on every machine.

A stateful generator would tie a sample to those drawn before it. Here a draw is a hash of its address (seed, purpose,
sample, draw), so that any sample can be made alone, in any order. The hash chains the 64-bit finalizer of SplitMix64
(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, figure 17). Integers and exactly rounded
float operations only (+, -, *, /, sqrt, one at a time): the last bit of a library's log or cos differs by machine.
"""

from collections.abc import Iterator

import numpy as np

# First counter of every address: what the draw is for, so that two uses of one seed share no numbers.
SCENE_DIGITS, SCENE_PLACES, GAUSSIAN_NOISE, SALT_AND_PEPPER = range(4)
BACKGROUNDS, TEXTURES, MOVING_DIGITS, MOVING_PATHS, OVERLAYS = range(4, 9)
MAP_DIGITS, MAP_PLACES, PIECES, PIECE_PLACES, POLYGONS, POLYGON_PLACES, HELD_OUT = range(9, 16)
SUDOKU, SHAPES, DIGITS_WITH_SHAPES = range(16, 19)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_LN2 = 0.6931471805599453
_HALF_PI = 1.5707963267948966


def check_seed(seed: int) -> int:
    """Return `seed`, or raise ValueError if it is not an integer in [0, 2**64)."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ValueError(f"seed must be an integer in [0, 2**64), got {seed!r}")
    return int(seed)


def chunks(num_examples: int, start: int, chunk: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Parts of at most `chunk` samples: where each lies, and the numbers of its samples, counted from `start`."""
    for low in range(0, num_examples, chunk):
        part = slice(low, min(low + chunk, num_examples))
        yield part, np.arange(start + part.start, start + part.stop)


def random_bits(seed: int, *counters: np.ndarray | int) -> np.ndarray:
    """64 random bits per address: uint64 of the counters' broadcast shape (at least one axis); counters are >= 0."""
    state = _mix(np.array([check_seed(seed)], np.uint64) + _GOLDEN)
    for counter in counters:
        state = _mix((state ^ np.asarray(counter, np.uint64)) + _GOLDEN)
    return state


def below(limit: np.ndarray | int, bits: np.ndarray) -> np.ndarray:
    """Integers uniform in [0, limit), limit in [1, 2**31], from 64 random bits each (bias under 2**-32 * limit)."""
    scaled = (bits >> _HALF) * np.asarray(limit, np.uint64)
    return (scaled >> _HALF).astype(np.int64)


def uniform(bits: np.ndarray) -> np.ndarray:
    """float64 uniform in [0, 1), a multiple of 2**-53, from 64 random bits each."""
    return (bits >> np.uint64(11)) * 2.0**-53


def normal(bits: np.ndarray) -> np.ndarray:
    """float64 standard normal numbers from 64 random bits each, up to 6.7 standard deviations out.

    Box and Muller (1958): sqrt(-2 log u) cos(2 pi v), with 32 bits for u in (0, 1] and 32 for v in [0, 1).
    """
    radius_draw = ((bits >> _HALF) + np.uint64(1)) * 2.0**-32
    angle_draw = (bits & _LOW_HALF) * 2.0**-32
    return np.sqrt(-2.0 * _log(radius_draw)) * cos_turns(angle_draw)


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _MULTIPLIERS[0]
    state = (state ^ (state >> np.uint64(27))) * _MULTIPLIERS[1]
    return state ^ (state >> np.uint64(31))


def _log(x: np.ndarray) -> np.ndarray:
    """log of x > 0 to about 1e-15: x = m 2**e with m near 1, log m = 2 atanh((m - 1) / (m + 1)) as a series."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < 0.7071067811865476
    mantissa, exponent = np.where(low, 2.0 * mantissa, mantissa), exponent - low
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    return exponent * _LN2 + 2.0 * ratio * _horner(ratio * ratio, [1.0 / (2 * k + 1) for k in range(12)])


def cos_turns(turns: np.ndarray) -> np.ndarray:
    """cos(2 pi turns), turns in [0, 1), to about 1e-15: the nearest quarter turn, a Taylor series within pi / 4."""
    quarter = np.floor(4.0 * turns + 0.5)
    angle = (4.0 * turns - quarter) * _HALF_PI
    square = angle * angle
    cosine = _horner(square, _taylor(0))
    sine = angle * _horner(square, _taylor(1))
    values = np.where(quarter % 2 == 0, cosine, sine)
    return np.where((quarter % 4 == 1) | (quarter % 4 == 2), -values, values)


def _taylor(first: int) -> list[float]:
    """Coefficients (-1)**k / (2 k + first)! of cosine (first = 0) or of sine over its argument (first = 1)."""
    coefficients = [1.0]
    for k in range(1, 10):
        coefficients.append(-coefficients[-1] / ((2 * k + first) * (2 * k + first - 1)))
    return coefficients


def _horner(x: np.ndarray, coefficients: list[float]) -> np.ndarray:
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
