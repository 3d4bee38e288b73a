"""Images held out for validation: the two rules, and the three splits."""

import numpy as np
import pytest

from data_gen import sources


def test_a_share_held_out_is_drawn_at_random_and_missing_from_the_rest():
    base = sources.load("digits", "train")
    rest, held = sources.hold_out(base, share=300 / 1442, seed=1)
    assert len(held.labels) == 300 and len(rest.labels) == 1142
    place = {image.tobytes(): i for i, image in enumerate(base.images)}
    places = [[place[image.tobytes()] for image in part.images] for part in (rest, held)]
    assert sorted(places[0] + places[1]) == list(range(1442))
    for part, chosen in zip((rest, held), places, strict=True):
        assert chosen == sorted(chosen)
        np.testing.assert_array_equal(part.labels, base.labels[chosen])
    assert np.bincount(held.labels).min() > 15
    assert places[1][:5] == [0, 1, 2, 17, 22]
    assert (sources.hold_out(base, share=300 / 1442, seed=2)[1].images != held.images).any()
    assert len(sources.hold_out(base, share=0, seed=1)[1].labels) == 0


def test_every_fifth_image_is_held_out():
    base = sources.load("digits", "train")
    rest, held = sources.hold_out(base, every=5)
    np.testing.assert_array_equal(held.images, base.images[4::5])
    np.testing.assert_array_equal(held.labels, base.labels[4::5])
    assert len(rest.labels) == 1442 - 288
    np.testing.assert_array_equal(rest.labels[:5], base.labels[[0, 1, 2, 3, 5]])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "exactly one of every and share"),
        ({"every": 5, "share": 0.1}, "exactly one of every and share"),
        ({"every": 0}, r"every must be an integer in \[1, 2147483648\], got 0"),
        ({"share": 1.5}, r"share must be a number in \[0, 1\], got 1.5"),
        ({"share": 0.1, "seed": -1}, "seed must be an integer"),
    ],
)
def test_a_wrong_rule_of_a_hold_out_is_refused(rule, message):
    with pytest.raises(ValueError, match=message):
        sources.hold_out(sources.load("digits", "test"), **rule)


def test_three_splits_share_no_image():
    parts = {name: sources.load_split("digits", name, every=5) for name in ("train", "validation", "test")}
    assert {name: len(part.labels) for name, part in parts.items()} == {"train": 1154, "validation": 288, "test": 355}
    assert len({image.tobytes() for part in parts.values() for image in part.images}) == 1154 + 288 + 355
    with pytest.raises(ValueError, match="one of train, validation, test; got 'overlap'"):
        sources.load_split("digits", "overlap", every=5)
