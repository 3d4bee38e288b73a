"""AKOrN and its baseline: published numbers of every head, noise, options, errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import interop, models, ops
from tests.helpers import assert_close, assert_finite, golden_case, golden_cases, random_variables
from tests.oscnets.models.test_kuramoto_layer import assert_gradient, last, under

OBJECTS = golden_cases("akorn_objs_*.npz")


def network(cfg, arrays, kind="akorn", **overrides):
    state = under(arrays, "param/")
    if kind == "akorn" and cfg["J"] == "attn" and not cfg["gta"]:
        overrides["heads"] = cfg["heads"]
    if "n" in cfg:
        overrides["components"] = cfg["n"]
    return interop.from_torch(kind, state, num_steps=cfg["T"], **overrides)


def as_published(gradients, cfg, arrays):
    """Gradients as parameters by path, and the stored ones in the same layout."""
    stored = under(arrays, "grad/")
    state = {key: stored.get(key, np.zeros_like(x)) for key, x in under(arrays, "param/").items()}
    expected = network(cfg, {f"param/{key}": x for key, x in state.items()})[1]["params"]
    flat = lambda tree: {jax.tree_util.keystr(path): x for path, x in jax.tree.leaves_with_path(tree)}  # noqa: E731
    return flat(gradients), flat(expected)


def assert_energies(found, expected):
    assert not np.any(expected[0])
    np.testing.assert_allclose(found, expected[1:], rtol=0, atol=1e-5 * np.abs(expected).max())


def cross_entropy(logits, classes):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), classes[..., None], -1).mean()


@pytest.mark.parametrize(("file", "case"), golden_cases("akorn_sudoku.npz"))
def test_golden_akorn_sudoku(file, case):
    cfg, arrays = golden_case(file, case)
    module, variables = network(cfg | {"gta": True}, arrays)
    assert (module.head, module.heads, module.rotation) == ("sudoku", cfg["heads"], "shared")
    classes = np.asarray(arrays["solution"], int) - 1

    @partial(jax.jit, static_argnames="num_steps")
    def loss(params, boards, noise, num_steps=None):
        out = module.apply({"params": params}, boards, noise=noise, num_steps=num_steps)
        return cross_entropy(out.logits, classes), out

    of_params = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, out), gradients = of_params(variables["params"], arrays["puzzle"], last(arrays["noise"]))
    np.testing.assert_allclose(out.logits, arrays["logits"], rtol=0, atol=5e-5)
    np.testing.assert_allclose(out.states[-1], last(arrays["x_final"]), rtol=0, atol=2e-4)
    assert_energies(out.energies[-1], arrays["es"])
    np.testing.assert_allclose(value, arrays["loss"], rtol=0, atol=1e-5)
    assert_gradient(*as_published(gradients, cfg | {"gta": True}, arrays))
    blank = arrays["puzzle"] == 0
    right = (np.argmax(out.logits, -1) == classes) & blank
    np.testing.assert_array_equal(blank.sum((1, 2)), arrays["num_blanks"])
    np.testing.assert_array_equal(right.sum((1, 2)), arrays["num_correct"])
    np.testing.assert_array_equal((right == blank).all((1, 2)), arrays["board_correct"])


@pytest.mark.parametrize(("file", "case"), golden_cases("akorn_sudoku.npz"))
def test_golden_akorn_votes(file, case):
    cfg, arrays = golden_case(file, case)
    module, variables = network(cfg | {"gta": True}, arrays)
    noise = last(arrays["vote/noise"])
    boards = np.repeat(arrays["puzzle"][:1], len(noise), 0)
    out = jax.jit(lambda variables, x, noise: module.apply(variables, x, noise=noise))(variables, boards, noise)
    energies = np.asarray(out.energies[-1])
    np.testing.assert_allclose(out.logits, arrays["vote/logits"], rtol=0, atol=5e-5)
    assert_energies(energies, arrays["vote/es"])
    for by, score in (("sum", energies.sum(0)), ("last", energies[-1])):
        np.testing.assert_allclose(score, arrays[f"vote/e_{by}"], rtol=1e-5)
        vote = ops.vote(out.logits[:, None], energies.T[..., None], by=by)
        assert vote.starts.tolist() == [arrays[f"vote/pick_{by}"]]
        np.testing.assert_array_equal(vote.logits[0].argmax(-1) + 1, arrays[f"vote/pred_{by}"])


def contrast(first, second, temperature=0.1):
    """SimCLR's loss of two views."""
    z = jnp.concatenate([first, second])
    z = z / jnp.linalg.norm(z, axis=-1, keepdims=True)
    scores = z @ z.T / temperature - 1e8 * jnp.eye(len(z))
    return cross_entropy(scores, np.roll(np.arange(len(z)), len(first)))


@pytest.mark.parametrize(("file", "case"), OBJECTS)
def test_golden_akorn_objects(file, case):
    cfg, arrays = golden_case(file, case)
    module, variables = network(cfg, arrays)
    assert (module.num_layers, module.components, module.coupling == "conv") == (cfg["L"], cfg["n"], cfg["J"] == "conv")
    apply = jax.jit(lambda params, x, noise: module.apply({"params": params}, x, noise=noise, keep_states=True))
    out = apply(variables["params"], last(arrays["image"]), last(arrays["noise"]))
    # Longer runs of oscillators in the plane are ill-conditioned.
    tolerance = 2e-4 if cfg["n"] > 2 else 2e-3 if cfg.get("use_omega") else 1e-3
    np.testing.assert_allclose(out.features, last(arrays["features"]), rtol=0, atol=tolerance)
    np.testing.assert_allclose(out.logits, arrays["z"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(out.states[-1], last(arrays["x_final"]), rtol=0, atol=tolerance)
    for index in range(cfg["L"]):
        np.testing.assert_allclose(out.trajectories[index], last(arrays[f"xs_l{index}"]), rtol=0, atol=tolerance)
        assert_energies(out.energies[index], arrays[f"es_l{index}"])
    if "simclr_loss" not in arrays:
        return
    views = [(last(arrays[f"image{view}"]), last(arrays[f"noise{view}"])) for view in ("", "_b")]
    loss = lambda params: contrast(*(apply(params, *view).logits for view in views))  # noqa: E731
    value, gradients = jax.jit(jax.value_and_grad(loss))(variables["params"])
    np.testing.assert_allclose(value, arrays["simclr_loss"], rtol=0, atol=1e-5)
    assert_gradient(*as_published(gradients, cfg, arrays))


@pytest.mark.parametrize(("file", "case"), golden_cases("akorn_classifier.npz"))
def test_golden_akorn_classifier(file, case):
    cfg, arrays = golden_case(file, case)
    module, variables = network(cfg, arrays)
    assert list(module.kernel_size) == cfg["ksizes"]
    run = jax.jit(lambda variables, x, noise: module.apply(variables, x, noise=noise))
    out = run(variables, last(arrays["image"]), last(arrays["noise"]))
    np.testing.assert_allclose(out.logits, arrays["logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(out.features.mean((1, 2)), arrays["pooled"], rtol=0, atol=1e-4)
    for index in range(cfg["L"]):
        np.testing.assert_allclose(out.states[index], last(arrays[f"x_final_l{index}"]), rtol=0, atol=2e-3)
        assert_energies(out.energies[index], arrays[f"es_l{index}"])


@pytest.mark.parametrize(("file", "case"), golden_cases("akorn_itrsa_sudoku.npz"))
def test_golden_akorn_itrsa(file, case):
    cfg, arrays = golden_case(file, case)
    module, variables = network(cfg, arrays, "itrsa", heads=cfg["heads"])
    assert (module.num_blocks, module.hidden) == (cfg["blocks"], cfg["mlp_dim"])
    out = jax.jit(module.apply)(variables, arrays["puzzle"])
    np.testing.assert_allclose(out.logits, arrays["logits"], rtol=0, atol=5e-5)
    own = jax.eval_shape(lambda: module.init(jax.random.key(0), arrays["puzzle"]))
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, variables)


FILES = ("akorn_sudoku.npz", "akorn_objs_*.npz", "akorn_classifier.npz")


@pytest.mark.parametrize(("file", "case"), [found for pattern in FILES for found in golden_cases(pattern)])
def test_golden_akorn_variables_are_those_the_module_makes(file, case):
    cfg, arrays = golden_case(file, case)
    module, variables = network(cfg | {"gta": cfg.get("gta", True)}, arrays)
    images = arrays["puzzle"] if module.head == "sudoku" else last(arrays["image"])
    own = jax.eval_shape(lambda: module.init(jax.random.key(0), images))
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, variables)


MODELS = {
    "sudoku": models.AKOrN(channels=16, heads=4, num_steps=2),
    "discovery": models.discovery_akorn(channels=16, heads=4, num_steps=2),
    "tables": models.discovery_akorn(channels=16, heads=4, num_steps=2, positions=False),
    "convolution": models.discovery_akorn(channels=16, coupling="conv", num_steps=2, num_layers=2),
    "classification": models.classification_akorn(channels=4, kernel_size=3, num_steps=2, num_classes=3),
    "itrsa": models.ItrSA(channels=16, heads=4, num_steps=2),
    "itrsa, discovery": models.ItrSA(channels=16, heads=4, num_steps=2, head="discovery"),
    "itrconv": models.ItrConv(channels=16, num_steps=2, head="discovery", num_blocks=2),
}
BOARDS = np.random.default_rng(0).integers(0, 10, (2, 9, 9))
IMAGES = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_at_any_input(name):
    module = MODELS[name]
    images = BOARDS if module.head == "sudoku" else IMAGES
    rngs = {"params": jax.random.key(0), "noise": jax.random.key(1)}
    output, variables = jax.eval_shape(lambda: module.init_with_output(rngs, images))
    variables = random_variables(lambda: module.init(rngs, images))
    mutable = ["batch_stats"] if "classification" in name else False
    options = {"train": True, "mutable": mutable} if mutable else {}

    def loss(variables, images):
        out = module.apply(variables, images, rngs={"noise": rngs["noise"]}, **options)
        out = out[0] if mutable else out
        return (out.logits**2).sum(), out

    fn = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, out), gradients = fn(variables, images)
    shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)  # noqa: E731
    assert shapes(out) == shapes(output)
    assert_finite((out, gradients))
    assert all(np.any(x) for x in jax.tree.leaves(gradients["params"]) if "classification" not in name)
    assert_finite(fn(variables, np.zeros_like(images))[1])


def test_noise_is_drawn_from_its_stream():
    module = MODELS["sudoku"]
    variables = random_variables(lambda: module.init(jax.random.key(0), BOARDS))
    draw = lambda seed: module.apply(variables, BOARDS, rngs={"noise": jax.random.key(seed)}).logits  # noqa: E731
    assert_close(draw(1), draw(1), 0)
    assert np.abs(draw(1) - draw(2)).max() > 1e-3
    full = np.clip(BOARDS, 1, 9)
    with_noise = lambda noise: module.apply(variables, full, noise=noise).logits  # noqa: E731
    assert_close(with_noise(np.ones((2, 9, 9, 16))), with_noise(np.zeros((2, 9, 9, 16))), 0)


@pytest.mark.parametrize("name", ["sudoku", "discovery"])
def test_every_step_is_read_out_as_the_last_one_is(name):
    module, images = MODELS[name], BOARDS if name == "sudoku" else IMAGES
    variables = random_variables(lambda: module.init(jax.random.key(0), images))
    run = lambda **options: module.apply(variables, images, rngs={"noise": jax.random.key(1)}, **options)  # noqa: E731
    every = run(num_steps=3, every_step=True)
    assert every.trajectories == (None,) * module.num_layers
    for steps in (2, 3) if module.num_layers == 1 else (3,):
        alone = run(num_steps=steps)
        assert_close((every.logits[steps - 1], every.features[steps - 1]), (alone.logits, alone.features), 1e-5)
    assert_close((every.states, every.energies), (alone.states, alone.energies), 1e-6)


def test_every_step_is_no_mode_of_training():
    """The batch of a normalization would be that of all steps."""
    module, options = MODELS["classification"], {"noise": None, "every_step": True}
    variables = jax.eval_shape(lambda: module.init({"params": jax.random.key(0), "noise": jax.random.key(1)}, IMAGES))
    with pytest.raises(ValueError, match="every_step reads out for tests: train must be False"):
        module.apply(variables, IMAGES, train=True, mutable=["batch_stats"], **options)


def test_another_size_takes_interpolated_positions():
    module = MODELS["discovery"].clone(grid=(4, 4))
    variables = random_variables(lambda: module.init(jax.random.key(0), IMAGES))
    out = module.apply(variables, np.ones((1, 24, 32, 3)), noise=np.ones((1, 6, 8, 16)), num_steps=5)
    assert out.features.shape == (1, 6, 8, 16)
    assert out.energies[0].shape == (5, 1)


@pytest.mark.parametrize(
    ("module", "images", "options", "message"),
    [
        (MODELS["sudoku"].clone(head="maze"), BOARDS, {}, "head must be one of sudoku, .*got 'maze'"),
        (MODELS["itrsa"].clone(head="maze"), BOARDS, {}, "head must be one of sudoku, .*got 'maze'"),
        (MODELS["sudoku"], IMAGES, {}, r"boards must be \(B, 9, 9\)"),
        (MODELS["itrsa"], IMAGES, {}, r"boards must be \(B, 9, 9\)"),
        (MODELS["sudoku"], BOARDS + 1, {}, "boards must hold digits 0 to 9, got 1 to 10"),
        (MODELS["itrsa"], BOARDS - 1, {}, "boards must hold digits 0 to 9, got -1 to 8"),
        (MODELS["itrsa"], BOARDS, {"num_steps": 0}, "num_steps must be >= 1, got 0"),
        (MODELS["discovery"], IMAGES[0], {}, r"images must be \(B, H, W, C\)"),
        (MODELS["discovery"].clone(patch=5), IMAGES, {}, "divisible by the patch 5"),
        (MODELS["itrconv"].clone(patch=5), IMAGES, {}, "divisible by the patch 5"),
        (MODELS["discovery"], IMAGES, {"noise": np.zeros((2, 3, 4, 16))}, r"noise must be \(2, 4, 4, 16\)"),
        (MODELS["classification"].clone(kernel_size=(3, 3)), IMAGES, {}, "kernel_size must be one number or 3"),
    ],
)
def test_errors(module, images, options, message):
    with pytest.raises(ValueError, match=message):
        module.init(jax.random.key(0), images, **options)
