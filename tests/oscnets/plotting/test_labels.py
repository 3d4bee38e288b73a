"""oscnets.plotting: maps of classes."""

import numpy as np
import pytest

from oscnets import plotting


def test_label_image_has_one_colour_a_class():
    labels = np.arange(13).reshape(1, 13)
    picture = plotting.label_image(labels)
    assert picture.shape == (1, 13, 3)
    assert (picture[0, 0] == 0).all()
    assert len({tuple(colour) for colour in picture[0]}) == 13
    np.testing.assert_array_equal(plotting.label_image([[13]]), plotting.label_image([[1]]))
    with pytest.raises(ValueError, match="classes must be >= 0, got -1"):
        plotting.label_image([[-1]])


def test_label_sheet_shows_truth_and_models_with_their_share_of_foreground():
    labels = np.zeros((2, 4, 4), int)
    labels[:, 1:3, 1:3] = 2
    wrong = labels.copy()
    wrong[0, 1, 1:3] = 1
    images = (labels > 0)[..., None].astype(float)
    figure = plotting.label_sheet(images, labels, {"right": labels, "wrong": wrong}, classes=("one", "two"), title="t")
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes[:4]] == ["input", "true", "right", "wrong"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "1.00", "0.50", "", "", "1.00", "1.00"]
    np.testing.assert_array_equal(figure.axes[3].images[0].get_array(), plotting.label_image(wrong[0]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    with pytest.raises(ValueError, match=r"labels must have 3 axes, got shape \(4, 4\)"):
        plotting.label_sheet(images[:1], labels[0], {})
