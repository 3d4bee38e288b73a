"""The pictures of KomplexNet's experiments, drawn from given metrics and samples."""

import json

import numpy as np
import pytest

from experiments.configs import komplexnet as configs
from experiments.komplexnet import figures
from experiments.komplexnet.figures import scenes, scores
from experiments.komplexnet.specs import FAMILY
from oscnets import plotting
from tests.experiments.families import tables

MODELS = ("komplexnet", "feedback", "random", "real", "komplexnet+digits3", "real+digits3")
STEPS = 3
FRAME = np.arange(-14, 15)
TESTS = ("test", *(f"digits{n}" for n in range(2, 10)), "moving", "moving_backwards", "frames", "test@6", "frames@6")


def digits(model, count):
    """Accuracy on `count` digits: falls by the digit, for the real model twice as fast from where it was trained."""
    network, _, trained = model.partition("+digits")
    far = abs(count - int(trained or 2))
    return {"komplexnet": 0.9, "feedback": 0.95, "random": 0.7, "real": 0.8}[network] - (
        0.06 * far if network == "real" else 0.03 * (count - 2)
    )


def measured(model):
    """Split -> accuracy of a model, a number or one a step; of seed 1, 0.02 more."""
    yield from ((f"digits{count}", digits(model, count)) for count in range(2, 10))
    if model in ("random", "real", "real+digits3"):
        yield from ((split, 0.6 - 0.002 * np.abs(FRAME)) for split in ("moving", "moving_backwards", "frames"))
    else:
        yield "moving", 0.7 - 0.01 * FRAME
        yield "moving_backwards", 0.7 - 0.01 * FRAME  # as slow to recover, whichever end it began at
        yield "frames", 0.6 - 0.002 * np.abs(FRAME)
        yield "test@6", np.linspace(0.5, 0.9, 6)
        yield "frames@6", 0.6 - 0.002 * np.abs(FRAME)  # more steps, but over frames
    yield "test", 0.5


def write(workdir, models, chosen=lambda split: True, metrics=("accuracy",)):
    lines = [
        {"model": model, "seed": seed, "step": 10, "split": split, "name": metric}
        | {"value": (np.array(values) + 0.02 * seed).tolist()}
        for model in models
        for split, values in measured(model)
        if chosen(split)
        for metric in metrics
        for seed in (0, 1)
    ]
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(workdir, models=MODELS):
    config = configs.get_config("smoke")
    return scores.load(config, tables(FAMILY, "models", *models), tables(FAMILY, "tests", *TESTS), workdir)


def groups(*models):
    return scores.by_scenes(configs.get_config("smoke"), tables(FAMILY, "models", *models))


@pytest.fixture
def drawn(monkeypatch):
    """Figures and animations by the names of their files, with nothing written."""
    figures = {}
    for save in ("save", "save_animation"):
        monkeypatch.setattr(plotting, save, lambda figure, path: figures.__setitem__(path.name, figure))
    return figures


def line_of(axes, label):
    return next(line for line in axes.lines if line.get_label() == label).get_xydata().T


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_picture_where_its_sets_were_measured(tmp_path, drawn):
    write(tmp_path, MODELS, lambda split: split == "test")
    scores.draw(run(tmp_path))
    assert not drawn
    write(tmp_path, MODELS, metrics=("accuracy", "exact_match"))
    scores.draw(run(tmp_path))
    expected = {
        f"{kind}_{m}" for kind in ("digits", "digits_difference", "trained_tested") for m in ("accuracy", "exact_match")
    }
    expected |= {"off_diagonal", "moving", "moving_3_digits", "more_steps", "more_steps_3_digits"}
    assert set(drawn) == {f"{name}.png" for name in expected}


def test_scores_and_chance_against_the_number_of_digits(tmp_path, drawn):
    write(tmp_path, MODELS, metrics=("accuracy", "exact_match"))
    scores.draw(run(tmp_path))
    two, three = drawn["digits_accuracy.png"].axes
    assert (two.get_title(), three.get_title()) == ("trained on 2 digits", "trained on 3 digits")
    counts, real = line_of(three, "real")
    np.testing.assert_array_equal(counts, np.arange(2, 10))
    np.testing.assert_allclose(real, [0.01 + digits("real+digits3", count) for count in counts])
    np.testing.assert_allclose(line_of(two, "chance")[1], counts / 10)
    np.testing.assert_allclose(line_of(drawn["digits_exact_match.png"].axes[0], "chance")[1][[0, 7]], [1 / 45, 1 / 10])
    assert legend(drawn["digits_accuracy.png"]) == ["komplexnet", "feedback", "random", "real", "chance"]
    assert drawn["digits_accuracy.png"].get_suptitle().endswith("mean ± standard deviation over 2 seeds")
    colours = [next(line.get_color() for line in axes.lines if line.get_label() == "real") for axes in (two, three)]
    assert colours == [plotting.MODEL_COLOURS[3]] * 2  # a network keeps its own, whatever it was trained on


def test_an_earlier_name_of_a_metric_is_read(tmp_path, drawn):
    write(tmp_path, MODELS, metrics=("exact",))
    scores.draw(run(tmp_path))
    assert {"digits_exact_match.png", "trained_tested_exact_match.png"} <= set(drawn)


def test_differences_are_taken_seed_by_seed(tmp_path, drawn):
    write(tmp_path, MODELS)
    scores.draw(run(tmp_path))
    figure = drawn["digits_difference_accuracy.png"]
    panels = {(axes.get_ylabel(), axes.get_title()): axes for axes in figure.axes if axes.axison}
    rows = ("difference to real", "difference to komplexnet", "difference to feedback")
    both = ("trained on 2 digits", "trained on 3 digits")
    assert set(panels) == {(row, column) for row in rows for column in both} - {(rows[2], both[1])}
    axes = panels["difference to real", "trained on 2 digits"]
    counts, komplexnet = line_of(axes, "komplexnet")
    np.testing.assert_allclose(komplexnet, 0.1 + 0.03 * (counts - 2))
    np.testing.assert_allclose(line_of(axes, "real")[1], 0.0)
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([band.min(), band.max()], [0.1, 0.31])  # both seeds gain alike


def test_sets_that_are_missing_leave_no_hole(tmp_path, drawn):
    write(tmp_path, MODELS, lambda split: split in ("digits2", "digits5", "digits9"))
    scores.draw(run(tmp_path))
    np.testing.assert_array_equal(line_of(drawn["digits_accuracy.png"].axes[0], "random")[0], [2, 5, 9])
    assert drawn["trained_tested_accuracy.png"].axes[0].texts[0].get_text().startswith("0.910")
    drawn.clear()
    write(tmp_path, MODELS, lambda split: split == "digits2")
    scores.draw_digits(run(tmp_path), "accuracy")
    assert not drawn


def test_tables_of_networks_trained_on_both_numbers(tmp_path, drawn):
    write(tmp_path, MODELS)
    scores.draw(run(tmp_path))
    komplexnet, real, _ = drawn["trained_tested_accuracy.png"].axes
    assert (komplexnet.get_title(), real.get_title()) == ("komplexnet", "real")
    np.testing.assert_allclose(komplexnet.images[0].get_array(), [[0.91, 0.88], [0.91, 0.88]])
    np.testing.assert_allclose(real.images[0].get_array(), [[0.81, 0.75], [0.75, 0.81]])
    assert [label.get_text() for label in real.get_xticklabels()] == ["2", "3"]
    assert "trained_tested_synchrony.png" not in drawn
    write(tmp_path, MODELS, metrics=("synchrony",))
    scores.draw(run(tmp_path))
    assert drawn["trained_tested_synchrony.png"].get_suptitle().endswith("synchrony loss (0: perfect)")


def test_as_many_digits_as_in_training_beside_another_number(tmp_path, drawn):
    """Of the networks with dynamics, on the numbers of digits that some were trained on."""
    write(tmp_path, MODELS, metrics=("accuracy", "synchrony"))
    scores.draw(run(tmp_path))
    figure = drawn["off_diagonal.png"]
    panels = {(axes.get_ylabel(), axes.get_title()): axes for axes in figure.axes}
    columns = ("2 digits in the test", "3 digits in the test")
    assert set(panels) == {(scores.LABELS[m], column) for m in ("accuracy", "synchrony") for column in columns}
    names = ["komplexnet, trained on 2 digits", "feedback, trained on 2 digits", "komplexnet, trained on 3 digits"]
    assert legend(figure) == names
    for axes in panels.values():
        assert [line.get_label() for line in axes.lines] == names
    lines = [line_of(panels[scores.LABELS["accuracy"], column], name)[1] for column in columns for name in names]
    assert [line[0] for line in lines] == pytest.approx([0.91, 0.96, 0.91, 0.88, 0.93, 0.88])
    drawn.clear()
    write(tmp_path, MODELS[:4], metrics=("accuracy", "synchrony"))
    scores.draw(run(tmp_path, MODELS[:4]))
    assert "off_diagonal.png" not in drawn


def test_moving_digits_are_compared_frame_by_frame(tmp_path, drawn):
    write(tmp_path, MODELS)
    scores.draw(run(tmp_path))
    both, turned, alone = drawn["moving.png"].axes
    frames, video = line_of(both, "komplexnet")
    np.testing.assert_array_equal(frames, np.arange(-10, 11))
    np.testing.assert_allclose(video, 0.71 - 0.01 * frames)
    np.testing.assert_allclose(line_of(both, "komplexnet, single frames")[1], 0.61 - 0.002 * np.abs(frames))
    # The backward run passes frame 5 before the overlap, so that there it is the better one.
    np.testing.assert_allclose(line_of(turned, "komplexnet")[1], -0.02 * frames, atol=1e-12)
    np.testing.assert_allclose(line_of(turned, "real, single frames")[1], 0.0, atol=1e-12)
    np.testing.assert_allclose(line_of(alone, "feedback")[1], 0.1 - 0.01 * frames + 0.002 * np.abs(frames))
    over_real = line_of(alone, "komplexnet, minus real's frames")[1]
    np.testing.assert_allclose(over_real, video - line_of(both, "real, single frames")[1])
    assert not any(line.get_label().startswith("real") for line in alone.lines)
    dashes = {line.get_label(): line.get_linestyle() for line in both.lines}
    assert dashes == {
        "komplexnet": "-", "komplexnet, single frames": "--",
        "feedback": "-", "feedback, single frames": "--", "real, single frames": "--",
    }  # fmt: skip


def test_more_steps_mark_those_of_the_training(tmp_path, drawn):
    write(tmp_path, MODELS, metrics=("accuracy", "synchrony"))
    scores.draw(run(tmp_path))
    accuracy, synchrony = drawn["more_steps.png"].axes
    for axes, label in ((accuracy, "share of digits found"), (synchrony, "synchrony loss (0: perfect)")):
        steps, values = line_of(axes, "komplexnet")
        np.testing.assert_array_equal(steps, np.arange(1, 7))
        np.testing.assert_allclose(values, np.linspace(0.51, 0.91, 6))
        assert line_of(axes, "steps in training")[0].tolist() == [STEPS] * 2
        assert axes.get_ylabel() == label
    assert accuracy.get_title() == "test@6"


def sample(length, *, kernels=()):
    """Two scenes, of the test and with overlap, as `samples.sample` returns them."""
    masks = np.zeros((2, 8, 8, 2), bool)
    masks[:, :3, :3, 0] = masks[:, 5:, 5:, 1] = True
    amplitude = masks.any(-1)[..., None] * np.ones(2, np.float32)
    turned = np.linspace(0, 1, length)[None, :, None, None, None]
    phases = (np.pi * masks[:, None, ..., 1:] + turned + np.zeros((2, length, 8, 8, 2))).astype(np.float16)
    shapes = {"l2": (2, 4, 4, 2), "l3": (2, 5), "l4": (2, 10)}
    arrays = {"images": masks.any(-1)[..., None] * 1.0, "masks": masks, "overlap": masks[..., 0] & False}
    arrays |= {"targets": np.eye(10)[[1, 3]] + np.eye(10)[[4, 6]], "set": np.array(["test", "overlap"])}
    arrays |= {f"layer_{name}": np.full(shape, 1j) for name, shape in shapes.items()}
    shapes = {"coupling": (3, 3, 2, 2), "feedback_l2": (3, 3, 2, 2), "feedback_l3": (5, 2), "feedback_l4": (10, 2)}
    arrays |= {f"before/{name}_kernel": np.zeros(shapes[name]) for name in kernels}
    arrays |= {f"after/{name}_kernel": np.ones(shapes[name]) for name in kernels}
    return {**arrays, "phases": phases, "amplitude": amplitude}


def test_pictures_of_samples(tmp_path, drawn):
    every = ("coupling", "feedback_l2", "feedback_l3", "feedback_l4")
    samples = {"feedback": sample(4, kernels=every), "random+digits3": sample(1)}
    scenes.draw(tmp_path, groups(*samples), samples)
    expected = {f"channels_{name}" for name in samples}
    expected |= {f"phases_{name}_{split}" for name in samples for split in ("test", "overlap")}
    expected |= {"kernel_feedback", *(f"kernel_feedback_feedback_l{layer}" for layer in (2, 3, 4))}
    expected |= {"layers_test", "layers_overlap", "layers_test_3_digits", "layers_overlap_3_digits"}
    assert set(drawn) == {"animation_feedback.gif", *(f"{name}.png" for name in expected)}  # nothing moves in the other
    animation = drawn["animation_feedback.gif"]
    assert animation.num_frames == 4
    assert [axes.get_title() for axes in animation.figure.axes[:8:4]] == ["test", "overlap"]


def test_layers_of_models_with_and_without_dynamics_are_shown_together(tmp_path, drawn):
    scenes.draw(tmp_path, groups("komplexnet", "random"), {"komplexnet": sample(1), "random": sample(1)})
    figure = drawn["layers_overlap.png"]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["komplexnet", "random"]
    bold = {text.get_text() for axes in figure.axes for text in axes.texts if text.get_weight() == "bold"}
    assert bold == {"3", "6"}  # the classes of the scene of the set overlap


def test_layers_of_models_that_have_other_sets(tmp_path, drawn):
    fewer = {name: array[:1] if array.shape[:1] == (2,) else array for name, array in sample(1).items()}
    scenes.draw(tmp_path, groups("komplexnet", "random"), {"komplexnet": sample(1), "random": fewer})
    rows = {split: [axes.get_ylabel() for axes in drawn[f"layers_{split}.png"].axes] for split in ("test", "overlap")}
    assert "random" in rows["test"] and "random" not in rows["overlap"] and "komplexnet" in rows["overlap"]


def test_draw_reads_the_samples_in_the_models_order(tmp_path, drawn):
    models = ("random", "komplexnet", "real")
    write(tmp_path, models, lambda split: split == "test")
    (tmp_path / "samples").mkdir()
    for name, arrays in (("komplexnet", sample(2)), ("random", sample(1)), ("real", {})):
        np.savez(tmp_path / "samples" / f"{name}.npz", **arrays)
    given = tables(FAMILY, "models", *models), tables(FAMILY, "tests", "test")
    figures.draw(configs.get_config("smoke"), *given, tmp_path)
    rows = [axes.get_ylabel() for axes in drawn["layers_test.png"].axes if axes.get_ylabel()]
    assert rows == ["random", "komplexnet"]
    assert drawn["animation_komplexnet.gif"].num_frames == 2
