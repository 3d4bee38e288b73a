"""Every public function of arrays, with arguments that it takes: what the tests of `test_functions.py` go through."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from oscnets import analysis, dynamics, grouping, losses, metrics, ops, phase
from oscnets.dynamics import agreement, coupling, kuramoto, sphere, waves
from tests.oscnets import function_cases
from tests.oscnets.function_cases import Case

MODULES = (phase, losses, metrics, grouping, analysis, ops, ops.complex, ops.norm, dynamics)
MODULES += (kuramoto, waves, coupling, agreement, sphere)
# Types, constants of types, and functions of no array.
NOT_OF_ARRAYS = {
    "ops": {"Criterion", "How", "Vote", "num_bins", "complex", "norm", "streaming_readout"},
    "ops.complex": {"Polar"},
    "grouping": {"clusters"},  # on the host
    "dynamics": {"as_ode", "Auto", "Checkpoint", "Reduction", "Reverse", "Store"},
    "dynamics.waves": {"Trajectory", "drum_frequencies", "grid_frequencies", "largest_dt"},
    "dynamics.coupling": {"Method", "PreparedKernel", "choose_method", "forget", "tune"},
    "dynamics.agreement": {"Gains", "Layers"},
}


rng = np.random.default_rng(0)
uniform = lambda *shape: rng.uniform(-3, 3, shape)  # noqa: E731
positive = lambda *shape: rng.uniform(0.2, 1, shape)  # noqa: E731
product = partial(jnp.matmul, precision="highest")  # of a caller, who sets the precision of his own

B, H, W, C, T = 2, 4, 5, 2, 6
phases, amplitude, kernel = uniform(B, H, W, C), positive(B, H, W, C), uniform(3, 3, C, C) / 4
graph, matrix = uniform(B, 5), uniform(B, 5, 5) / 4
masks = (rng.uniform(size=(B, H, W, 3)) < 0.5).astype(float)
labels = rng.integers(0, 3, (B, H, W))
layers, gains = ((2, 2), (3,)), agreement.Gains(1.5, -0.3, 0.5)
queries, keys = uniform(B, 7, 3), uniform(B, 7, 3)
position, velocity, omega, damping = (
    uniform(B, H, W, C),
    uniform(B, H, W, C),
    positive(B, H, W, C),
    positive(B, H, W, C),
)
hwcb = lambda x: np.moveaxis(x, 0, -1)  # noqa: E731
chwb = lambda x: np.transpose(x, (3, 1, 2, 0))  # noqa: E731


def conv_step(method: str) -> Case:
    def fn(phases, amplitude, kernel, rate, epsilon):
        return kuramoto.conv_step(phases, amplitude, kernel, rate=rate, epsilon=epsilon, method=method)

    return Case(fn, (phases, amplitude, kernel, positive(C), positive(B, 1, 1, 1)), (0, 0, None, None, 0))


def conv_trajectory(method: str) -> Case:
    def fn(phases, amplitude, kernel, rate, epsilon):
        return kuramoto.conv_trajectory(
            phases, amplitude, kernel, rate=rate, epsilon=epsilon, num_steps=3, method=method
        )

    return Case(fn, (phases, amplitude, kernel, positive(), positive()), (0, 0, None, None, None))


def prepared_step(phases, drive, kernel):
    prepared = coupling.prepare_kernel(kernel, phases.shape[:2], uniform=-0.1)
    return kuramoto.conv_step_hwcb(phases, drive, prepared, rate=0.3)


def prepared_trajectory(phases, drive, kernel):
    prepared = coupling.prepare_kernel(kernel, phases.shape[:2], uniform=-0.1)
    return kuramoto.conv_trajectory_hwcb(phases, drive, prepared, rate=0.3, num_steps=3)


def oscillators(gradient: str, *, implicit: bool = False) -> Case:
    def fn(position, velocity, kernel, omega, damping, dt):
        options = {"dt": dt, "num_steps": T, "gradient": gradient, "implicit_damping": implicit}
        return waves.oscillator_trajectory(position, velocity, kernel, omega, damping, **options)[:3]

    arrays = position, velocity, kernel, omega, damping[:, :1, :1], np.float64(0.1)
    return Case(fn, arrays, (0, 0, None, 0, 0, None), positive=1)


def oscillators_chwb(position, velocity, kernel, omega, damping):
    params = kernel, omega, damping, jnp.asarray(0.1, position.dtype)
    out = waves.oscillator_trajectory_chwb(params, (position, velocity), num_steps=T)
    return out[:3]


def streamed(how: str) -> Callable[..., Any]:
    def fn(position, velocity, kernel, omega, damping):
        params = kernel, omega, damping, jnp.asarray(0.1, position.dtype)
        time_kernel = jnp.linspace(-1, 1, T * 4, dtype=position.dtype).reshape(T, 4) if how == "linear" else None
        reduce = ops.streaming_readout(how, T, kernel=time_kernel)
        return waves.oscillator_trajectory_chwb(params, (position, velocity), num_steps=T, reduce=reduce)[:3]

    return fn


def unrolled(**options: Any) -> Callable[..., Any]:
    def fn(phases, coupling, frequency):
        step = lambda state: (kuramoto.graph_step(state[0], coupling, rate=0.1, natural_frequency=frequency),)  # noqa: E731
        return dynamics.unroll(step, (phases,), T, collect=lambda state: jnp.sin(state[0]), **options)

    return fn


def reversed_waves(position, velocity, speed):
    step = lambda state: waves.wave_step(*state, speed=speed, dt=0.1)  # noqa: E731
    inverse = lambda state: waves.reverse_wave_step(*state, speed=speed, dt=0.1)  # noqa: E731
    return dynamics.unroll(
        step, (position, velocity), T, collect=lambda state: state[0] ** 2, gradient=dynamics.Reverse(inverse)
    )


def summed(shared, xs):
    return losses.streaming_sum(lambda shared, x, _: (jnp.sin(product(shared, x)).sum(), shared[0, 0]), shared, xs)[0]


def over_time(shared, states):
    return losses.mean_over_time(
        lambda shared, state, _: (jnp.tanh(product(state, shared)) ** 2).mean(), shared, states
    )


def over_pixels(shared, features):
    def loss(shared, features, labels):
        return (jnp.tanh(product(features, shared)) ** 2).sum(-1) * (labels + 1)

    return losses.mean_over_pixels(loss, shared, features, labels[: len(features)], chunk=7)


def modulated(x, kernel, phase_in, phase_out):
    responses = ops.tap_responses(x, kernel)
    return ops.modulate(responses, phase_in, phase_out, kernel_size=(3, 3), strength=0.7)


def synchrony(phases, amplitude, **options):
    return losses.cluster_synchrony(phases, masks[: len(phases)], amplitude, **options)


def separation(phases, amplitude):
    return metrics.phase_separation(phases, masks[: len(phases)], amplitude)


WAVES = (position, velocity, kernel, omega, damping)
WAVES_BATCHED = (0, 0, None, 0, 0)
CHWB = tuple(chwb(x) if x.ndim == 4 and x is not kernel else x for x in WAVES)
NOT_BATCHED = (None,) * 5

CASES = {
    **function_cases.CASES,
    "phase.sincos": Case(phase.sincos, (phases * 5,), (0,)),
    "phase.modulus": Case(phase.modulus, (phases, amplitude), (0, 0)),
    "phase.unit": Case(phase.unit, (phases, amplitude), (0, 0)),
    "phase.angle": Case(phase.angle, (phases, amplitude), (0, 0)),
    "phase.wrap": Case(phase.wrap, (phases * 5 + 0.01,), (0,)),
    "phase.order_parameter": Case(lambda p, w: _parts(phase.order_parameter(p, w)), (graph, positive(B, 5)), (0, 0)),
    "phase.circular_mean": Case(phase.circular_mean, (graph, positive(B, 5)), (0, 0)),
    "losses.cluster_synchrony": Case(synchrony, (phases, amplitude), (0, 0)),
    "losses.cluster_synchrony[half]": Case(partial(synchrony, normalization="half"), (phases, amplitude), (0, 0)),
    "metrics.phase_separation": Case(separation, (phases, amplitude), (0, 0)),
    "losses.binary_cross_entropy": Case(
        lambda x: losses.binary_cross_entropy(x, masks[: len(x), 0, 0]), (uniform(B, 3),), (0,)
    ),
    "losses.streaming_sum": Case(summed, (uniform(3, 4), uniform(T, 4)), (None, None), typed=False),
    "losses.mean_over_time": Case(over_time, (uniform(3, 4), uniform(T, B, 3)), (None, 1), typed=False, reduces=True),
    "losses.mean_over_pixels": Case(
        over_pixels, (uniform(3, 4), uniform(B, H, W, 3)), (None, 0), typed=False, reduces=True
    ),
    "metrics.multi_label_scores": Case(
        lambda x: metrics.multi_label_scores(x, masks[: len(x), 0, 0]), (uniform(B, 3),), (0,), smooth=False
    ),
    "metrics.multi_hot": Case(
        lambda x: metrics.multi_hot(jnp.zeros(np.shape(x), int), 3),
        (uniform(B, 2),),
        (0,),
        smooth=False,
        keeps_nan=False,
    ),
    "metrics.segmentation_scores": Case(
        lambda x: metrics.segmentation_scores(x, labels[: len(x)]), (uniform(B, H, W, 3),), (0,), smooth=False
    ),
    "metrics.foreground_scores": Case(
        lambda x: metrics.foreground_scores(x, labels[: len(x)], background=7),
        (uniform(B, H, W, 3),),
        (0,),
        smooth=False,
    ),
    "analysis.analytic_signal": Case(lambda x: _parts(analysis.analytic_signal(x)), (uniform(T, 3),), (None,)),
    "analysis.instantaneous_phase": Case(analysis.instantaneous_phase, (uniform(T, 3),), (None,)),
    "analysis.phase_gradient": Case(analysis.phase_gradient, (phases,), (0,), smooth=False),
    "analysis.wavelength": Case(analysis.wavelength, (uniform(T, H, W, C),), (None,), smooth=False),
    "analysis.long_wave_share": Case(analysis.long_wave_share, (uniform(T, H, W, C),), (None,), smooth=False),
    "analysis.class_spectra": Case(
        lambda x: analysis.class_spectra(x, labels, 3)[0], (uniform(T, B, H, W, C),), (None,)
    ),
    "analysis.receptive_field": Case(
        lambda x: analysis.receptive_field(lambda image: (jnp.sin(image) ** 2).sum(), x),
        (uniform(H, W, C),),
        (None,),
        typed=False,
    ),
    "analysis.receptive_field_width": Case(
        analysis.receptive_field_width,
        (positive(H, W),),
        (None,),
        smooth=False,
        keeps_nan=False,
    ),
    "ops.conv": Case(ops.conv, (phases, uniform(3, 3, C, 3)), (0, None)),
    "ops.conv[strides]": Case(
        lambda x, k: ops.conv(x, k, strides=2), (uniform(B, 4, 4, 3), uniform(3, 3, 3, C)), (0, None)
    ),
    "ops.phase_conv": Case(
        lambda x, k, a, b, s: ops.phase_conv(x, k, a, b, strength=s),
        (phases, uniform(3, 3, C, 3), uniform(B, H, W), uniform(B, H, W), positive()),
        (0, None, 0, 0, None),
    ),
    "ops.phase_dense": Case(
        lambda x, k, a, b, s: ops.phase_dense(x, k, a, b, strength=s),
        (uniform(B, 4), uniform(4, 3), uniform(B, 4), uniform(B, 3), positive()),
        (0, None, 0, 0, None),
    ),
    "ops.modulate, ops.tap_responses": Case(
        modulated,
        (chwb(phases), uniform(3, 3, C, 3), uniform(H, W, B), uniform(H, W, B)),
        (None,) * 4,
    ),
    "ops.readout": Case(
        lambda x, k: ops.readout(x, "linear", kernel=k), (uniform(T, B, C), uniform(T, 4)), (None,) * 2
    ),
    **{
        f"ops.readout[{how}]": Case(lambda x, how=how: ops.readout(x, how), (uniform(T, B, C),), (1,))
        for how in ("last", "mean", "max", "fft")
    },
    "ops.complex.gate": Case(
        lambda *x: tuple(ops.complex.gate(*x)), (phases, amplitude, positive(B, H, W, C)), (0, 0, 0)
    ),
    "ops.complex.rectify": Case(
        lambda m: ops.complex.rectify(ops.complex.Polar(m, amplitude, amplitude), 1.5, 0.1, (-3, -2)).magnitude,
        (phases,),
        (0,),
    ),
    "ops.complex.contrast_logits": Case(ops.complex.contrast_logits, (uniform(B, 4),), (0,)),
    "ops.norm.normalize": Case(lambda x: ops.norm.normalize(x, -1), (uniform(B, 4),), (0,)),
    "dynamics.unroll": Case(unrolled(), (graph, matrix, uniform(5)), (0, 0, None), typed=False),
    "dynamics.unroll[checkpoint]": Case(
        unrolled(checkpoint_every=4), (graph, matrix, uniform(5)), (0, 0, None), typed=False
    ),
    "dynamics.unroll[reverse]": Case(
        reversed_waves, (position, velocity, positive(H, W, 1)), (0, 0, None), typed=False, positive=1
    ),
    "dynamics.kuramoto.conv_step": conv_step("auto"),
    "dynamics.kuramoto.conv_step[direct]": conv_step("direct"),
    "dynamics.kuramoto.conv_step[fft]": conv_step("fft"),
    "dynamics.kuramoto.conv_trajectory": conv_trajectory("auto"),
    "dynamics.kuramoto.conv_trajectory[fft]": conv_trajectory("fft"),
    "dynamics.kuramoto.conv_vector_field": Case(
        lambda p, a, k, e: kuramoto.conv_vector_field(p, a, k, epsilon=e),
        (phases, amplitude, kernel, positive(B, 1, 1, 1)),
        (0, 0, None, 0),
    ),
    "dynamics.kuramoto.conv_step_hwcb": Case(
        prepared_step, (hwcb(phases), hwcb(amplitude), kernel), (None,) * 3, typed=False
    ),
    "dynamics.kuramoto.conv_trajectory_hwcb": Case(
        prepared_trajectory, (hwcb(phases), hwcb(amplitude), kernel), (None,) * 3, typed=False
    ),
    "dynamics.kuramoto.coupling_force": Case(kuramoto.coupling_force, (phases, amplitude, position), (0, 0, 0)),
    "dynamics.kuramoto.graph_step": Case(
        lambda p, k, r, f, lag: kuramoto.graph_step(p, k, rate=r, natural_frequency=f, phase_lag=lag),
        (graph, matrix, positive(5), uniform(B, 5), uniform(5)),
        (0, 0, None, 0, None),
    ),
    "dynamics.kuramoto.graph_trajectory": Case(
        lambda p, k, r, f: kuramoto.graph_trajectory(p, k, rate=r, natural_frequency=f, num_steps=3),
        (graph, matrix, positive(5), uniform(B, 5)),
        (0, 0, None, 0),
    ),
    "dynamics.kuramoto.agreement_step": Case(
        lambda p, k, r: kuramoto.agreement_step(p, k, rate=r), (graph, matrix, positive(B, 1)), (0, 0, 0)
    ),
    "dynamics.kuramoto.agreement_vector_field": Case(kuramoto.agreement_vector_field, (graph, matrix), (0, 0)),
    "dynamics.kuramoto.energy": Case(kuramoto.energy, (graph, matrix), (0, 0)),
    "dynamics.waves.wave_step": Case(
        lambda u, v, c: waves.wave_step(u, v, speed=c, dt=0.1, mask=masks[0, ..., :1]),
        (position, velocity, positive(H, W, 1)),
        (0, 0, None),
        positive=1,
    ),
    "dynamics.waves.wave_vector_field": Case(
        lambda u, v, c: waves.wave_vector_field(u, v, speed=c, mask=masks[0, ..., :1]),
        (position, velocity, positive(H, W, 1)),
        (0, 0, None),
    ),
    "dynamics.waves.reverse_wave_step": Case(
        lambda u, v, c: waves.reverse_wave_step(u, v, speed=c, dt=0.1, boundary="periodic"),
        (position, velocity, positive(H, W, 1)),
        (0, 0, None),
        positive=1,
    ),
    "dynamics.waves.laplacian": Case(waves.laplacian, (position,), (0,)),
    "dynamics.waves.wave_energy": Case(
        lambda u, v, c: waves.wave_energy(u, v, speed=c, dt=0.1),
        (position, velocity, positive()),
        (0, 0, None),
        positive=1,
    ),
    "dynamics.waves.inverse_gain": Case(lambda a: waves.inverse_gain(a, dt=0.1, num_steps=3), (damping,), (None,)),
    "dynamics.waves.oscillator_step": Case(lambda *x: waves.oscillator_step(*x, dt=0.1), WAVES, WAVES_BATCHED),
    "dynamics.waves.oscillator_vector_field": Case(waves.oscillator_vector_field, WAVES, WAVES_BATCHED),
    "dynamics.waves.oscillator_step[implicit]": Case(
        lambda *x: waves.oscillator_step(*x, dt=0.1, implicit_damping=True), WAVES, WAVES_BATCHED
    ),
    "dynamics.waves.reverse_oscillator_step": Case(
        lambda *x: waves.reverse_oscillator_step(*x, dt=0.1), WAVES, WAVES_BATCHED
    ),
    "dynamics.waves.oscillator_step_chwb": Case(
        lambda u, v, *p: waves.oscillator_step_chwb((*p, 0.1), (u, v), implicit_damping=False),
        CHWB,
        NOT_BATCHED,
        typed=False,
    ),
    "dynamics.waves.reverse_oscillator_step_chwb": Case(
        lambda u, v, *p: waves.reverse_oscillator_step_chwb((*p, 0.1), (u, v), implicit_damping=True),
        CHWB,
        NOT_BATCHED,
        typed=False,
    ),
    "dynamics.waves.oscillator_trajectory": oscillators("store"),
    "dynamics.waves.oscillator_trajectory[implicit]": oscillators("store", implicit=True),
    "dynamics.waves.oscillator_trajectory[checkpoint]": oscillators("checkpoint"),
    "dynamics.waves.oscillator_trajectory[reverse]": oscillators("reverse"),
    "dynamics.waves.oscillator_trajectory_chwb": Case(oscillators_chwb, CHWB, NOT_BATCHED, typed=False),
    **{
        f"dynamics.waves.oscillator_trajectory_chwb[{how}]": Case(streamed(how), CHWB, NOT_BATCHED, typed=False)
        for how in ("mean", "max", "linear")
    },
    "dynamics.coupling.prepare_kernel, dynamics.coupling.neighbourhood_sum": Case(
        lambda x, k: coupling.neighbourhood_sum(x, coupling.prepare_kernel(k, np.shape(x)[:2], uniform=0.2)),
        (hwcb(phases), uniform(3, 3, C, 3)),
        (None, None),
    ),
    "dynamics.agreement.coupling": Case(lambda q, k: agreement.coupling(q, k, layers, gains), (queries, keys), (0, 0)),
    "dynamics.agreement.strength": Case(
        lambda q, k: agreement.strength(q, k, layers, gains, max_couplings=20), (queries, keys), (0, 0)
    ),
    "dynamics.agreement.attention_step": Case(
        lambda p, q, k, r: agreement.attention_step(p, q, k, layers, gains, rate=r),
        (uniform(B, 7), queries, keys, positive(7)),
        (0, 0, 0, None),
    ),
}


def _parts(x: Any) -> tuple[Any, Any]:
    return x.real, x.imag
