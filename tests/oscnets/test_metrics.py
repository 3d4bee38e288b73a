"""Scores against loops; those of groups of pixels against scikit-learn and published numbers too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from oscnets import metrics
from tests.helpers import assert_close, float64, golden_files


def naive(logits, targets):
    """One image: the n highest logits, of equal ones the lower class first, against the n true classes."""
    true = {k for k, target in enumerate(targets) if target}
    ranked = sorted(range(len(logits)), key=lambda k: (-logits[k], k))
    found = true & set(ranked[: len(true)])
    return (len(found) / len(true) if true else 1.0), float(found == true)


def test_scores_are_the_loops():
    """With ties, as the logits are few integers, and with 0 to 5 labels."""
    rng = np.random.default_rng(0)
    logits = rng.integers(-2, 3, (40, 3, 5)).astype(np.float32)
    targets = rng.uniform(size=(40, 3, 5)) < rng.uniform(size=(40, 3, 1))
    targets[0], targets[1] = False, True
    expected = np.array(
        [[naive(*pair) for pair in zip(*rows, strict=True)] for rows in zip(logits, targets, strict=True)]
    )
    found = jax.jit(metrics.multi_label_scores)(logits, targets)
    assert_close(found, {"accuracy": expected[..., 0], "exact_match": expected[..., 1]}, 1e-6)
    assert 0 < expected[..., 1].mean() < 1


def test_logits_over_time_share_the_targets():
    rng = np.random.default_rng(1)
    logits, targets = rng.normal(size=(4, 6, 10)).astype(np.float32), metrics.multi_hot(rng.integers(0, 10, (6, 1)), 10)
    found = metrics.multi_label_scores(logits, targets)
    assert found["accuracy"].shape == found["exact_match"].shape == (4, 6)
    assert_close(found["accuracy"][2], np.float32(logits[2].argmax(-1) == targets.argmax(-1)), 0)


def test_multi_hot():
    expected = np.array([[0, 1, 0, 1], [1, 0, 0, 0]], np.float32)
    assert_close(metrics.multi_hot(jnp.array([[3, 1], [0, 0]]), 4), expected, 0)


def test_other_numbers_of_classes():
    with pytest.raises(ValueError, match=r"\(2, 10\) and \(2, 9\)"):
        metrics.multi_label_scores(jnp.zeros((2, 10)), jnp.zeros((2, 9)))


def naive_scores(logits, labels, counts):
    """One image, pixel by pixel."""
    right, total, loss = 0, 0, 0.0
    for logit, label, counted in zip(logits.reshape(-1, logits.shape[-1]), labels.ravel(), counts.ravel(), strict=True):
        if counted:
            total += 1
            right += int(np.argmax(logit) == label)
            loss -= logit[label] - np.log(np.exp(logit).sum())
    return {"accuracy": right / total, "iou": right / (2 * total - right), "loss": loss / total}


def test_scores_of_a_segmentation():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 4, 5, 6)).astype(np.float32), rng.integers(0, 6, size=(3, 4, 5))
    overall, foreground = metrics.segmentation_scores(logits, labels), metrics.foreground_scores(logits, labels)
    last = metrics.foreground_scores(logits, labels, background=5)
    for i in range(3):
        for found, counts in ((overall, labels >= 0), (foreground, labels != 0), (last, labels != 5)):
            expected = naive_scores(logits[i], labels[i], counts[i])
            assert set(found) == set(expected)
            for name, value in expected.items():
                assert found[name].shape == (3,)
                assert found[name][i] == pytest.approx(value, rel=1e-5), name


def test_an_image_without_foreground():
    scores = metrics.foreground_scores(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2), int))
    assert {name: float(value[0]) for name, value in scores.items()} == {"accuracy": 1, "iou": 1, "loss": 0}


def test_large_logits_have_finite_losses():
    scores = metrics.segmentation_scores(np.full((1, 2, 2, 3), 1e4, np.float32), np.ones((1, 2, 2), int))
    assert scores["loss"][0] == pytest.approx(np.log(3), abs=1e-3)


@pytest.mark.parametrize(("labels", "mask"), [((1, 2, 3), None), ((1, 2, 2), (2, 2))])
def test_segmentations_of_other_shapes_are_refused(labels, mask):
    mask = None if mask is None else np.ones(mask)
    with pytest.raises(ValueError, match=r"must be \(B, H, W\) for logits \(B, H, W, K\).*\(1, 2, 2, 3\)"):
        metrics.segmentation_scores(np.zeros((1, 2, 2, 3)), np.zeros(labels, int), mask)


def test_one_nan_logit_makes_the_scores_of_its_image_nan():
    """Also where it is neither the highest nor that of the true class."""
    logits, targets = np.zeros((3, 4), np.float32), np.eye(4)[:3]
    logits[1, 3] = np.nan
    for scores in (metrics.multi_label_scores, jax.jit(metrics.multi_label_scores)):
        for value in scores(logits, targets).values():
            np.testing.assert_array_equal(np.isnan(value), [False, True, False])
    maps, labels = np.zeros((3, 2, 2, 4), np.float32), np.zeros((3, 2, 2), int)
    maps[1, 0, 1, 3] = np.nan
    for value in jax.jit(metrics.segmentation_scores)(maps, labels).values():
        np.testing.assert_array_equal(np.isnan(value), [False, True, False])


def test_pixels_that_do_not_count_have_no_influence():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 4, 4, 3)).astype(np.float32), rng.integers(0, 3, (2, 4, 4))
    void = rng.uniform(size=labels.shape) < 0.3
    marked = np.where(void, 255, labels).astype(np.uint8)
    holes = np.where(void[..., None], np.nan, logits)
    expected = metrics.segmentation_scores(logits, labels, ~void)
    for mask in (~void, (~void).astype(np.float32)):
        assert_close(metrics.segmentation_scores(holes, marked, mask), expected, 1e-6)
    assert_close(jax.jit(metrics.segmentation_scores)(holes, marked, ~void), expected, 1e-6)
    loss = lambda logits: metrics.segmentation_scores(logits, marked, ~void)["loss"].sum()  # noqa: E731
    gradient = jax.grad(loss)(holes)
    assert_close(gradient, jax.grad(loss)(logits), 1e-6)
    np.testing.assert_array_equal(np.asarray(gradient)[void], 0)
    foreground = metrics.foreground_scores(holes, marked, mask=~void)
    assert_close(foreground, metrics.segmentation_scores(logits, labels, ~void & (labels != 0)), 1e-6)
    nothing = metrics.segmentation_scores(np.full_like(logits, np.nan), labels, np.zeros_like(void))
    assert [float(value[0]) for value in nothing.values()] == [1, 1, 0]


def test_a_traced_label_out_of_range_makes_its_image_nan():
    labels = np.zeros((3, 2, 2), int)
    labels[0, 0, 0], labels[2, 1, 1] = -1, 3
    for value in jax.jit(metrics.segmentation_scores)(np.zeros((3, 2, 2, 3)), labels).values():
        np.testing.assert_array_equal(np.isnan(value), [True, False, True])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.multi_label_scores(np.zeros((10, 10)), np.arange(10)), r"got \(10, 10\) and \(10,\)"),
        (lambda: metrics.multi_label_scores(np.zeros((4, 10)), np.ones(10)), r"got \(4, 10\) and \(10,\)"),
        (lambda: metrics.multi_label_scores(np.zeros((2, 3)), np.full((2, 3), 2)), r"\[0, 1\], got 2 to 2"),
        (lambda: metrics.multi_label_scores(np.zeros((2, 3)), np.full((2, 3), 0.5)), "targets must be 0 or 1"),
        (lambda: metrics.multi_hot([[3, 10]], 10), r"labels must lie in 0 to 9, got 10 among \(1, 2\)"),
        (lambda: metrics.multi_hot([[3, -1]], 10), "labels must lie in 0 to 9, got -1"),
        (lambda: metrics.multi_hot([[3.0, 1.0]], 10), r"integer class indices, got float32 \(1, 2\)"),
        (lambda: metrics.multi_hot(3, 10), r"labels must be \(\.\.\., n\), got shape \(\)"),
        (lambda: metrics.multi_hot([[1]], 2.5), r"num_classes must be a whole number, got 2\.5"),
        (lambda: metrics.segmentation_scores(np.zeros((1, 2, 2, 3)), np.full((1, 2, 2), 3)), "0 to 2, got 3"),
        (lambda: metrics.segmentation_scores(np.zeros((1, 2, 2, 3)), np.full((1, 2, 2), -1)), "0 to 2, got -1"),
        (lambda: metrics.segmentation_scores(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2))), "integer class indices"),
        (
            lambda: metrics.foreground_scores(np.zeros((1, 2, 2, 3)), np.ones((1, 2, 2), int), mask=np.ones((2, 2))),
            r"mask must be shaped like labels \(1, 2, 2\), got \(2, 2\)",
        ),
    ],
)
def test_labels_and_targets_that_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_labels_may_be_booleans_and_lists():
    logits = np.array([[[[0.0, 1], [1, 0]]]])
    for labels in (np.array([[[True, False]]]), [[[1, 0]]], np.array([[[1, 0]]], np.uint8)):
        assert metrics.segmentation_scores(logits, labels)["accuracy"][0] == 1


GROUPS = np.random.default_rng(0)


def loop_overlap(labels, predicted, background, ignored):
    """One picture."""
    counted = np.ones(labels.shape, bool) if ignored is None else labels != ignored
    scores = []
    for label in set(labels[counted].tolist()) - {background}:
        mask = (labels == label) & counted
        groups = [(predicted == group) & counted for group in np.unique(predicted)]
        scores.append(max((mask & group).sum() / (mask | group).sum() for group in groups))
    return np.mean(scores) if scores else np.nan


@pytest.mark.parametrize("kinds", [1, 2, 4, 400])
def test_rand_index_is_scikit_learns(kinds):
    labels, noise = GROUPS.integers(0, kinds, (2, 6, 8, 9))
    predicted = np.where(GROUPS.uniform(size=labels.shape) < 0.6, labels * 7 - 3, noise)
    mask = GROUPS.uniform(size=labels.shape) < 0.8
    predicted[0] = -labels[0]
    found, masked = metrics.adjusted_rand_index(labels, predicted), metrics.adjusted_rand_index(labels, predicted, mask)
    foreground = metrics.foreground_ari(labels, predicted)
    for i in range(len(labels)):
        pair = labels[i].ravel(), predicted[i].ravel()
        np.testing.assert_allclose(found[i], adjusted_rand_score(*pair), atol=2e-6)
        for score, chosen in ((masked, mask[i]), (foreground, labels[i] > 0)):
            np.testing.assert_allclose(score[i], adjusted_rand_score(*(x[chosen.ravel()] for x in pair)), atol=2e-6)


def test_rand_index_of_large_pictures_is_exact_to_float32():
    """More pairs than 32 bits count."""
    labels = GROUPS.integers(0, 5, (1, 512, 512))
    predicted = np.where(GROUPS.uniform(size=labels.shape) < 0.3, GROUPS.integers(0, 5, labels.shape), labels)
    expected = adjusted_rand_score(labels.ravel(), predicted.ravel())
    np.testing.assert_allclose(metrics.adjusted_rand_index(labels, predicted), [expected], atol=2e-6)


@pytest.mark.parametrize(("background", "ignored"), [(0, -1), (None, None), (2, None), (None, 0)])
def test_overlap_is_the_loops(background, ignored):
    labels, predicted = GROUPS.integers(-1, 3, (5, 6, 7)), GROUPS.integers(-4, 3, (5, 6, 7))
    found = metrics.mean_best_overlap(labels, predicted, background=background, ignored=ignored)
    expected = [loop_overlap(*pair, background, ignored) for pair in zip(labels, predicted, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_perfect_groups_score_1_whatever_their_names():
    labels = GROUPS.integers(0, 4, (3, 5, 5))
    names = np.array([9, -2, 5, 0])
    for score in (metrics.adjusted_rand_index, metrics.foreground_ari, metrics.mean_best_overlap):
        np.testing.assert_allclose(score(labels, names[labels]), 1, rtol=1e-6)


def test_pictures_without_objects():
    labels, predicted = np.zeros((1, 4, 4), int), GROUPS.integers(0, 3, (1, 4, 4))
    assert metrics.foreground_ari(labels, predicted) == 1
    assert metrics.mean_best_overlap(labels, predicted) == -1
    assert np.isnan(metrics.mean_best_overlap(labels, predicted, empty=np.nan))
    assert metrics.adjusted_rand_index(labels, predicted, np.zeros(labels.shape)) == 1
    one = np.ones((2, 4, 4), int)
    np.testing.assert_array_equal(metrics.foreground_ari(one, np.stack([predicted[0], 3 * one[0]])), [0, 1])


def published(name):
    return [dict(np.load(path)) for path in golden_files(name)]


def test_golden_akorn_metrics():
    for file in published("akorn_metrics.npz"):
        labels, predicted = file["gt"], file["pred"]
        with float64():
            fg_ari, overlap = metrics.foreground_ari(labels, predicted), metrics.mean_best_overlap(labels, predicted)
            whole = metrics.adjusted_rand_index(labels, predicted)
            counted = metrics.adjusted_rand_index(labels, predicted, labels > -1)
        np.testing.assert_allclose(fg_ari, file["fg_ari"], atol=1e-8)
        np.testing.assert_allclose(overlap, file["mbo_each"], atol=1e-8)
        overlap = np.asarray(overlap)
        np.testing.assert_allclose(overlap[overlap >= 0].mean(), file["mbo_mean"], atol=1e-8)
        np.testing.assert_allclose(whole, file["ari_all"], atol=1e-8)
        np.testing.assert_allclose(counted, file["ari_not_ignored"], atol=1e-8)


def test_golden_rf_metrics():
    for file in published("rf_metrics.npz"):
        with float64():
            ari = np.asarray(metrics.foreground_ari(file["gt_instance"], file["pred"]))
            overlap = np.asarray(metrics.mean_best_overlap(file["gt_instance"], file["pred"]))
            classes = np.asarray(metrics.mean_best_overlap(file["gt_class"], file["pred"]))
        np.testing.assert_allclose(ari, file["ARI_each"], atol=1e-8)
        np.testing.assert_allclose(ari.mean(), file["ARI"], atol=1e-8)
        np.testing.assert_allclose(overlap, file["MBO_i_each"], atol=1e-8)
        np.testing.assert_allclose(overlap[overlap >= 0].mean(), file["MBO_i"], atol=1e-8)
        np.testing.assert_allclose(classes[classes >= 0].mean(), file["MBO_c"], atol=1e-8)


def test_golden_rf_resized_labels():
    for file in published("rf_metrics.npz"):
        small, expected = file["small_pred"], file["small_pred_resized"]
        found = metrics.resized_labels(small, *expected.shape[1:], num_classes=int(small.max()) + 1)
        np.testing.assert_array_equal(found, expected)


def test_golden_cae_scores():
    for file in published("cae_autoencoder.npz"):
        labels, predicted = file["gt"], file["pred"]
        with float64():
            without = metrics.foreground_ari(labels, predicted).mean()
            background = metrics.foreground_ari(labels, predicted, background=None).mean()
        np.testing.assert_allclose(without, file["ari_nobg"], atol=1e-8)
        np.testing.assert_allclose(background, file["ari_bg"], atol=1e-8)


def two_groups(first, second, spread=0.0, pixels=8):
    """(1, 2 pixels, 1) phases of two groups around their angles, half of each off by `spread` to either side."""
    signs = np.where(np.arange(pixels) % 2, 1, -1)
    phases = np.concatenate([first + spread * signs, second + spread * signs])
    masks = np.repeat(np.eye(2, dtype=bool), pixels, axis=0)
    return phases[None, :, None], masks[None]


@pytest.mark.parametrize("apart", [0.0, 1e-3, 1.0, 2.0, np.pi - 1e-3, np.pi, 5.0])
def test_separation_of_two_groups(apart):
    phases, masks = two_groups(2.5, 2.5 + apart, spread=0.4)
    with float64():
        found = metrics.phase_separation(phases, masks)
        turned = metrics.phase_separation(phases + 2 * np.pi * (phases > 3) - 1.3, masks[..., ::-1])
    for scores in (found, turned):
        assert_close(scores["order"], np.cos(0.4), 1e-12)
        assert_close(scores["separation"], min(apart, 2 * np.pi - apart), 1e-12)


def test_separation_leaves_out_what_does_not_count():
    """Silent units and pixels of no group, NaN among them; three groups have three pairs."""
    rng = np.random.default_rng(0)
    angles = np.array([0.3, 1.0, 2.9])
    owner = rng.integers(0, 4, (9, 9))
    phases = np.where(owner < 3, angles[np.minimum(owner, 2)], np.nan)[..., None].repeat(2, -1)
    amplitude = rng.uniform(0.1, 1, phases.shape)
    amplitude[::2, ::2] = 0
    phases[::2, ::2] = rng.uniform(-3, 3, phases[::2, ::2].shape)
    found = metrics.phase_separation(phases, owner[..., None] == np.arange(3), amplitude)
    assert_close(found["order"], 1.0, 1e-6)
    assert_close(found["separation"], np.mean([0.7, 1.9, 2.6]), 1e-6)
    with pytest.raises(ValueError, match="at least two groups, got 1"):
        metrics.phase_separation(phases, owner[..., None] < 3)


def test_separation_counts_what_is_there_alone():
    """Of three groups one is empty and one silent in a channel; the order is that of the groups' active channels."""
    phases, masks = two_groups(0.5, 1.7, spread=0.4)
    phases, masks = phases.repeat(2, -1), np.concatenate([masks, np.zeros((1, 16, 1), bool)], -1)
    amplitude = np.ones(phases.shape)
    amplitude[:, :8, 1] = 0  # the first group in the second channel
    found = metrics.phase_separation(phases, masks, amplitude)
    assert_close(found, {"order": np.cos(0.4), "separation": 1.2}, 1e-6)
    found = metrics.phase_separation(phases, masks[..., 1:])  # one group alone
    assert_close(found, {"order": np.cos(0.4), "separation": 0.0}, 1e-6)
    none, gradient = jax.value_and_grad(lambda x: sum(metrics.phase_separation(x, masks & False).values()))(phases)
    assert none == 1 and not gradient.any()


def test_errors_of_groups():
    labels = np.zeros((1, 3, 3), int)
    with pytest.raises(ValueError, match="labels must be integers, got float32"):
        metrics.adjusted_rand_index(np.zeros((1, 3), np.float32), labels[0])
    with pytest.raises(ValueError, match="must have one shape"):
        metrics.mean_best_overlap(labels, labels[:, :2])
    with pytest.raises(ValueError, match="must have one shape"):
        metrics.foreground_ari(labels, labels[:, :2])
    with pytest.raises(ValueError, match=r"labels must be \(B, h, w\)"):
        metrics.resized_labels(labels[0], 4, 4, num_classes=1)
    with pytest.raises(ValueError, match="height must be >= 3, got 2"):
        metrics.resized_labels(labels, 2, 4, num_classes=1)
