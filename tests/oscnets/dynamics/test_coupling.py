"""Every method of the neighbourhood sum against naive loops in float64."""

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import coupling
from tests.helpers import assert_close, assert_gradients, float64, in_float64

METHODS = ("direct", "fft", "transform")
FORMS = {"pairs": (2, False), "complex": (2, True), "height": (1, False)}  # axes transformed, complex products
# Image, kernel, channels in and out: odd and non-square ones, kernels larger than the image, single taps.
SHAPES = [
    ((6, 5), (3, 5), 2, 3),
    ((4, 7), (5, 1), 3, 1),
    ((3, 2), (7, 9), 1, 2),
    ((5, 4), (1, 1), 2, 2),
    ((1, 6), (3, 13), 1, 1),
]


def arrays(image, size, c_in, c_out, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*image, c_in, batch)), rng.normal(size=(*size, c_in, c_out))


def naive(field, kernel, uniform):
    """The sum by its definition, one unit and one tap at a time; and its matrix, (H W C_out, H W C_in)."""
    (height, width, c_in, _), (kh, kw, _, c_out) = field.shape, kernel.shape
    matrix = np.full((height, width, c_out, height, width, c_in), float(uniform))
    for y, x, j, i in itertools.product(range(height), range(width), range(kh), range(kw)):
        row, column = y + j - kh // 2, x + i - kw // 2
        if 0 <= row < height and 0 <= column < width:
            matrix[y, x, :, row, column, :] += kernel[j, i].T
    matrix = matrix.reshape(height * width * c_out, -1)
    return (matrix @ field.reshape(len(matrix.T), -1)).reshape(height, width, c_out, -1), matrix


def apply(field, kernel, uniform, method):
    prepared = coupling.prepare_kernel(kernel, field.shape[:2], uniform=uniform, method=method)
    return coupling.neighbourhood_sum(field, prepared)


@pytest.fixture(params=FORMS)
def form(request, monkeypatch):
    """Each form of the products of `transform`."""
    choose(request.param, monkeypatch)


def choose(form, monkeypatch):
    axes, by_complex = FORMS[form]
    monkeypatch.setattr(coupling, "coupling_axes", lambda *sizes: axes)
    monkeypatch.setattr(coupling, "complex_products", lambda channels: by_complex)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_methods_agree_with_the_definition(shapes, form):
    """Values, and the gradient in the field, which is the transposed matrix."""
    field, kernel = arrays(*shapes)
    expected, matrix = naive(field, kernel, -0.2)
    ct_out = np.random.default_rng(1).normal(size=expected.shape)
    back = (matrix.T @ ct_out.reshape(len(matrix), -1)).reshape(field.shape)

    def run(field, kernel):
        found = {}
        for method in METHODS:
            value, pull = jax.vjp(lambda *args, method=method: apply(*args, method), field, kernel, -0.2)
            found[method] = value, pull(ct_out)
        return found

    found = in_float64(run, field, kernel)
    for method in METHODS:
        value, (ct_field, ct_kernel, ct_uniform) = found[method]
        assert_close((value, ct_field), (expected, back), 1e-12)
        assert_close((ct_kernel, ct_uniform), found["direct"][1][1:], 1e-12)


@pytest.mark.parametrize(
    ("shapes", "method", "form"),
    [
        (SHAPES[0], "direct", "pairs"),
        (SHAPES[2], "transform", "pairs"),
        (SHAPES[0], "transform", "complex"),
        (SHAPES[0], "transform", "height"),
    ],
    ids=str,
)
def test_gradients_by_finite_differences(method, shapes, form, monkeypatch):
    """Those of the other methods are compared with these above."""
    choose(form, monkeypatch)
    field, kernel = arrays(*shapes)
    target = np.random.default_rng(2).normal(size=(*field.shape[:2], kernel.shape[3], field.shape[3])) / field.size
    with float64():
        assert_gradients(lambda *args: jnp.sum(target * jnp.sin(apply(*args, method))), field, kernel, 0.3)


def test_float32():
    field, kernel = arrays((9, 8), (13, 5), 2, 2)
    run = jax.jit(lambda *args: [apply(*args, method) for method in METHODS])
    for found in run(field.astype(np.float32), kernel.astype(np.float32), 0.1):
        assert found.dtype == np.float32
        assert_close(found, naive(field, kernel, 0.1)[0], 2e-6)


def test_kernels_of_a_vmap_equal_each_alone(form):
    pairs = [arrays(*SHAPES[0], seed=seed) for seed in range(3)]
    fields, kernels = (np.stack(x) for x in zip(*pairs, strict=True))
    each = np.stack([naive(*pair, 0.1)[0] for pair in pairs])
    run = lambda *args: [jax.vmap(lambda *args, m=method: apply(*args, 0.1, m))(*args) for method in METHODS]  # noqa: E731
    for found in in_float64(run, fields, kernels):
        assert_close(found, each, 1e-12)


def test_no_fields_give_none(form):
    field, kernel = arrays(*SHAPES[0], batch=0)
    assert {apply(field, kernel, 0.1, method).shape for method in METHODS} == {(6, 5, 3, 0)}


def test_many_channels_are_multiplied_as_complex_numbers():
    kernels = [jnp.zeros((3, 3, channels, channels)) for channels in (8, 32)]
    few, many = (coupling.prepare_kernel(kernel, (4, 4), method="transform").weights for kernel in kernels)
    assert (few.shape, many.shape) == ((9, 32, 32), (18, 64, 32))


def test_a_prepared_kernel_passes_through_transformations():
    field, kernel = arrays(*SHAPES[0])
    prepared = jax.jit(lambda kernel: coupling.prepare_kernel(kernel, (6, 5), uniform=0.5, method="fft"))(kernel)
    step = lambda total, prepared: (total + coupling.neighbourhood_sum(field, prepared), None)  # noqa: E731
    twice = jax.tree.map(lambda x: jnp.stack([x, x]), prepared)
    total, _ = jax.lax.scan(step, jnp.zeros((6, 5, 3, 2)), twice)
    assert_close(total, 2 * naive(field, kernel, 0.5)[0], 1e-5)


def test_auto_is_one_of_the_methods():
    field, kernel = arrays(*SHAPES[0])
    assert coupling.choose_method((6, 5)) == "transform" and coupling.choose_method((6, 129)) == "fft"
    run = jax.jit(lambda *args: apply(*args, 0.0, "auto"))
    assert_close(run(field, kernel), naive(field, kernel, 0.0)[0], 1e-5)


@pytest.fixture
def timed(monkeypatch):
    """Stands in for the clock: seconds of a run by method, which may be changed; and the runs in their order."""
    seconds, runs = dict.fromkeys(coupling.METHODS, 1.0), []
    monkeypatch.setattr(coupling, "_compiled", lambda method, *_: method)
    monkeypatch.setattr(coupling, "_seconds", lambda method: runs.append(method) or seconds[method])
    yield seconds, runs
    coupling.forget()


def method_of(kernel, image=(6, 5)):
    """What `auto` stands for in a program that is traced now."""
    return jax.eval_shape(lambda kernel: coupling.prepare_kernel(kernel, image), kernel).plan.method


def test_auto_takes_what_was_the_fastest_for_this_case_until_it_is_forgotten(timed):
    seconds, runs = timed
    kernel = arrays(*SHAPES[0])[1]
    seconds.update(direct=0.75, fft=7.0)
    times = coupling.tune((6, 5), kernel.shape, batch_size=2, rounds=2, num_steps=3)
    assert list(times.items()) == [("direct", 0.25), ("transform", 1 / 3), ("fft", 7 / 3)]
    assert runs == 3 * list(coupling.METHODS)
    assert coupling.choose_method([6, 5], kernel.shape) == method_of(kernel) == "direct"
    for others in (kernel[:1], kernel[..., :1]):
        assert method_of(others) == "transform"
    assert method_of(kernel, (5, 6)) == coupling.choose_method((6, 5)) == "transform"
    with jax.default_matmul_precision("high"):
        assert method_of(kernel) == "transform"
    coupling.tune([6, 5], kernel.shape, batch_size=9, methods=["fft"], rounds=1)
    assert method_of(kernel) == "fft"
    coupling.forget()
    assert method_of(kernel) == "transform"


def test_a_method_that_is_far_too_slow_runs_once(timed):
    seconds, runs = timed
    seconds.update(direct=11.0, fft=10.0)
    assert coupling.tune((4, 4), (3, 3, 1, 1), batch_size=1, rounds=4, num_steps=1)["direct"] == 11.0
    assert [runs.count(method) for method in coupling.METHODS] == [1, 5, 5]


def test_measured_on_this_device():
    """Threads too, and with more channels out than in."""
    sizes = ((4, 3), (3, 3, 1, 2))
    tune = partial(coupling.tune, *sizes, batch_size=2, methods=("transform", "direct"), rounds=1, num_steps=2)
    try:
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(lambda _: tune(), range(2)))
        assert all(set(times) == {"transform", "direct"} and min(times.values()) > 0 for times in found)
        assert coupling.choose_method(*sizes) in {min(times, key=times.get) for times in found}
    finally:
        coupling.forget()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"image": (8, 8, 1)}, ValueError, r"image must be \(H, W\), got \(8, 8, 1\)"),
        ({"image": 8}, TypeError, r"image must be \(H, W\), got 8"),
        ({"kernel": (3, 4, 1, 1)}, ValueError, "odd height and width .* got 3 x 4"),
        ({"kernel": (3, 3, 0, 1)}, ValueError, "C_in of kernel must be >= 1, got 0"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be a whole number, got 2.5"),
        ({"rounds": 0}, ValueError, "rounds must be >= 1, got 0"),
        ({"methods": ()}, ValueError, r"some of direct, fft, transform, got \(\)"),
        ({"methods": ["auto"]}, ValueError, r"some of direct, fft, transform, got \['auto'\]"),
    ],
)
def test_what_tune_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        coupling.tune(**({"image": (8, 8), "kernel": (3, 3, 1, 1), "batch_size": 2} | changes))


def test_tune_is_not_called_while_a_program_is_traced():
    def program(x):
        coupling.tune((4, 4), (3, 3, 1, 1), batch_size=1)
        return x

    with pytest.raises(RuntimeError, match="cannot be called while one is traced"):
        jax.jit(program)(1.0)


@pytest.mark.parametrize(
    ("shape", "method", "message"),
    [
        ((3, 4, 1, 1), "auto", "odd height and width .* got 3 x 4"),
        ((2, 3, 1, 1), "direct", "odd height and width .* got 2 x 3"),
        ((3, 3, 1), "auto", r"\(kh, kw, C_in, C_out\), got shape \(3, 3, 1\)"),
        ((3, 3, 1, 1), "gemm", "one of auto, direct, fft, transform, got 'gemm'"),
    ],
)
def test_bad_kernels_and_methods(shape, method, message):
    with pytest.raises(ValueError, match=message):
        coupling.prepare_kernel(jnp.zeros(shape), (8, 8), method=method)


@pytest.mark.parametrize("shape", [(8, 7, 2, 3), (8, 8, 1, 3), (8, 8, 2)])
def test_another_field_than_prepared_for(shape):
    prepared = coupling.prepare_kernel(jnp.zeros((3, 3, 2, 1)), (8, 8))
    with pytest.raises(ValueError, match=rf"\(8, 8, 2, 'B'\), got shape {re.escape(str(shape))}"):
        coupling.neighbourhood_sum(jnp.zeros(shape), prepared)
