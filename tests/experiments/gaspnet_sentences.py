"""Numbers in the sentences of GASPnet's page of results, recomputed from the summaries of its runs."""

import json

from tests.experiments.quotes import RESULTS, Numbers


def _of_pictures(folder):
    """Of a run on overlays: its numbers, values by model, metric and test set, and what each network names, sorted."""
    g = Numbers(folder)
    values = lambda model, metric="accuracy", split="test": g.values(model, split, None, metric)  # noqa: E731
    mine, theirs = sorted(values("gaspnet")), sorted(values("baseline"))
    assert mine[-1] < theirs[0]
    return g, values, mine, theirs


def gaspnet_overlays():
    g, values, mine, theirs = _of_pictures("gaspnet/cifar_mnist")
    yield f"({mine[0]:.3f} of both named after six steps; the others {mine[1]:.3f} and {mine[2]:.3f}, "
    yield f"the baselines {theirs[0]:.3f} to {theirs[-1]:.3f})"
    best = values("gaspnet").argmax()
    gap = lambda size: values("gaspnet", "item", f"item{size}")[best] - values("baseline", "item", f"item{size}").mean()  # noqa: E731
    assert gap(24) < -0.04 and abs(gap(20)) < 0.005
    assert {round(gap(17), 2), round(gap(14), 2)} == {0.02}
    item, picture = (f"{values('gaspnet', metric)[best]:.3f}" for metric in ("item", "picture"))
    yield f"The best GASPnet names {item} of the digits, the baselines {g.mean('baseline', 'test', None, 'item')}; "
    yield f"of the pictures {picture} against {g.mean('baseline', 'test', None, 'picture')}"
    apart = values("gaspnet", "separation")
    yield f"are {apart.mean():.2f} radians apart, in the seed that hardly learns {apart.min():.2f};"


def gaspnet_fashion():
    g, values, mine, theirs = _of_pictures("gaspnet/cifar_fashion")
    yield f"by the three GASPnets: {mine[0]:.3f}, {mine[1]:.3f} and {mine[2]:.3f}; "
    yield f"by the baselines {theirs[0]:.3f} to {theirs[-1]:.3f}."
    best = values("gaspnet").argmax()
    gap = lambda size: values("baseline", "item", f"item{size}").mean() - values("gaspnet", "item", f"item{size}")[best]  # noqa: E731
    yield f"at 24 and 20 pixels, by {gap(24):.3f} and {gap(20):.3f}, "
    assert round(max(abs(gap(17)), abs(gap(14))), 3) <= 0.004
    item, picture = (f"{values('gaspnet', metric)[best]:.3f}" for metric in ("item", "picture"))
    yield f"The best GASPnet names {item} of the items, the baselines {g.mean('baseline', 'test', None, 'item')}; "
    yield f"of the pictures {picture} against {g.mean('baseline', 'test', None, 'picture')}"
    third, first, second = sorted(values("gaspnet", "separation"))
    assert values("gaspnet", "separation")[best] == third
    yield f"**in two seeds of three**: {first:.2f} and {second:.2f} radians apart after six steps."
    yield f"({third:.2f} radians)"


def gaspnet_sentences():
    g = Numbers("gaspnet/multi_mnist")
    test = lambda step, model="gaspnet": g.mean(model, "test", step)  # noqa: E731
    plain = lambda model: g.mean(model, "test", None, "plain_accuracy")  # noqa: E731
    yield f"{plain('gaspnet')} without modulation, {test(1)} after the first step, {test(3)} after the third, "
    yield f" after the third, {test(6)} after the sixth"
    yield f"{test(6)} against {test(None, 'baseline')}. GASPnet learns behind"
    yield f"{test(6, 'gaspnet+no_synchrony')} on clean scenes against {test(6)} with it"
    yield f"without location far fewer, {plain('gaspnet+no_location')} against {test(6, 'gaspnet+no_location')}"
    yield f"{test(6, 'gaspnet+no_location')} on clean scenes against {test(6)}, below at every level"
    steps = json.loads((RESULTS / "gaspnet/multi_mnist/steps.json").read_text())
    smallest = {}
    for figure in ("ablations", "gaspnet+no_location against the full model"):
        smallest[figure] = [min(test[p] for test in steps if test["figure"] == figure) for p in ("p", "p_adjusted")]
    (before, after), (alone, adjusted) = smallest.values()
    yield f"(smallest p before the correction {before:.4f}, after it {after:.2f}), without location is another "
    yield f"another ({alone:.4f}, {adjusted:.2f})."
    certain = {}
    for test in steps:
        if test["model"] == "gaspnet" and test["p_adjusted"] < 0.05:
            certain.setdefault(test["split"], []).append(test["step"])
    every = [1, 2, 3, 4, 5, 6]
    known = {"test": every, "salt_pepper0.01": every, "salt_pepper0.03": [1, 2], "salt_pepper0.06": [1]}
    assert certain == known | {"gaussian0.15": [1]}
    synchrony = [g.values(model, "test", None, "synchrony").mean() for model in ("gaspnet+no_synchrony", "gaspnet")]
    yield f"synchrony loss on test scenes {synchrony[0]:.2f} against {synchrony[1]:.2f}"


def gaspnet_recipe():
    """Of the run whose plain pass is trained first."""
    g = Numbers("gaspnet/multi_mnist_recipe")
    test = lambda step, model="gaspnet": g.mean(model, "test", step)  # noqa: E731
    plain = g.mean("gaspnet", "test", None, "plain_accuracy")
    yield f"{plain} without modulation, {test(1)} after the first step, {test(3)} after the third, "
    yield f"after the third, {test(6)} after the sixth"
    old = Numbers("gaspnet/multi_mnist")
    pairs = [f"{n.mean('gaspnet', 'test', 6)} against {n.mean('baseline', 'test')}" for n in (g, old)]
    yield f"**not at this length of training**: {pairs[0]}. Without the recipe, of as many scenes, {pairs[1]}"
    noise = [split for split in g.run.summary["splits"] if split.startswith(("gaussian", "salt_pepper"))]
    rises = [g.gap(("gaspnet", split, 3), ("gaspnet", split, 1)) for split in noise]
    yield f"at every level of both noises, by {min(rises):.3f} to {max(rises):.3f}"
    ahead = {split: g.gap(("gaspnet", split, 3), ("baseline", split)) for split in noise}
    above = {split: gap for split, gap in ahead.items() if gap > 0}
    assert set(above) == {"gaussian0.35", "gaussian0.45", "gaussian0.6", "salt_pepper0.1", "salt_pepper0.2"}
    assert {split for split in above if g.gap(("gaspnet", split, 6), ("baseline", split)) > 0} == set(above)
    yield f"by {min(above.values()):.3f} to {max(above.values()):.3f} at the third step"
    steps = json.loads((RESULTS / "gaspnet/multi_mnist_recipe/steps.json").read_text())
    assert min(test["p_adjusted"] for test in steps) > 0.05
    found, synchrony = (sorted(g.values("gaspnet", "test", None, metric)) for metric in ("accuracy", "synchrony"))
    yield f"it finds {found[0]:.3f} of the digits, they {found[1]:.3f} and {found[2]:.3f}; "
    yield f"(synchrony losses of {synchrony[0]:.3f} to {synchrony[2]:.3f})."
