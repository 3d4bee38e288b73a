"""Numbers in the sentences of results pages and README, recomputed from the summaries of the runs."""

import itertools
import json

import numpy as np
import pytest

import experiments.separation
from experiments import engine
from experiments.waves.figures import wavelengths
from oscnets import stats
from tests.experiments.gaspnet_sentences import gaspnet_fashion, gaspnet_overlays, gaspnet_recipe, gaspnet_sentences
from tests.experiments.quotes import RESULTS, Numbers, read


def cost(numbers, model, digits):
    """What each seed loses on so many digits by training on the other number of digits, 2 or 3."""
    own, other = ("", "@3") if digits == 2 else ("@3", "")
    return numbers.values(model + own, f"digits{digits}") - numbers.values(model + other, f"digits{digits}")


def off_diagonal(numbers, model, digits):
    """The mean of this, and both accuracies."""
    own, other = ("", "@3") if digits == 2 else ("@3", "")
    both = ", ".join(numbers.mean(model + trained, f"digits{digits}") for trained in (own, other))
    return f"{cost(numbers, model, digits).mean():.3f} ({both})"


def k1_and_k2():
    k = Numbers("komplexnet")

    def test(model, step=None):
        return k.mean(model, "test", step)

    def p(first, second, split="test", digits=3):
        return f"(p {k.p((first, split), (second, split), digits)})"

    def points(first, second, split="test"):
        return k.points((first, split), (second, split))

    exact = [
        " / ".join(k.mean(m, split, None, "exact_match") for split in SPLITS)
        for m in ("komplexnet", "feedback", "real")
    ]
    yield f"KomplexNet {exact[0]}, with feedback {exact[1]}, real {exact[2]}"
    yield f"feedforward {test('komplexnet', 6)} at step 6 and {test('komplexnet', 7)} at step 7 against {test('real')}"
    yield f"; feedback {test('feedback', 6)} and {test('feedback', 7)}, no earlier."
    gaps = [k.gap((model, "test"), ("real", "test")) for model in ("komplexnet", "feedback")]
    yield f"At step 15 {gaps[0]:+.3f} {p('komplexnet', 'real')} and {gaps[1]:+.3f} {p('feedback', 'real')}."
    yield f"Ideal phases {k.spread('ideal', 'test')}; feedforward {test('komplexnet', 10)} at step 10, "
    yield f", {test('komplexnet')} at step 15 {p('komplexnet', 'ideal', digits=2)}, feedback {test('feedback')}."
    yield f"{points('komplexnet', 'real', 'overlap')} points under overlap {p('komplexnet', 'real', 'overlap')}, "
    yield f"with feedback {points('feedback', 'real', 'overlap')}; {points('komplexnet', 'real', 'noise')} under noise "
    yield f"under noise {p('komplexnet', 'real', 'noise')}, with feedback {points('feedback', 'real', 'noise')} "
    yield f"{points('feedback', 'real', 'noise')} {p('feedback', 'real', 'noise')}. Feedback to feedforward "
    pair = "feedback", "komplexnet"
    yield f"Feedback to feedforward {points(*pair, 'noise')} points under noise {p(*pair, 'noise', 2)}, "
    yield f", {points(*pair, 'overlap')} under overlap {p(*pair, 'overlap')}, {points(*pair)} in distribution "
    yield f"in distribution {p(*pair, digits=2)}"


def quick_scale():
    n = Numbers("komplexnet/digits")
    pairs = [(("komplexnet", split), ("real", split)) for split in SPLITS]
    test, overlap, noise = (f"{n.points(*pair).lstrip('+')} points" for pair in pairs)
    p = [n.p(*pair) for pair in pairs]
    yield f"KomplexNet is {test} above the real-valued network of its size on two digits (p {p[0]}), {overlap} under "
    yield f"{overlap} under overlap (p {p[1]}), {noise} under noise (p {p[2]})"
    ahead = [int(((n.values(*first) - n.values(*second)) > 0).sum()) for first, second in pairs]
    yield f"ahead in {('no', 'one', 'two', 'three')[ahead[0]]} seeds of four"
    assert ahead[1] == len(n.values("real", "overlap")) == 4
    yield "under overlap in all four."
    found = [Numbers("komplexnet/digits_feedback").mean("feedback", split) for split in SPLITS]
    yield f"{found[0]} on two digits, {found[1]} under overlap, {found[2]} under noise ([numbers](digits_feedback/"


def k3():
    g = Numbers("komplexnet/generalization")
    spread = g.spread("komplexnet@3", "digits2")
    first = f"{cost(g, 'komplexnet', 2).mean():.3f} ({g.mean('komplexnet', 'digits2')}, {spread})"
    yield f"training on 3 instead of 2 costs KomplexNet {first}, with feedback {off_diagonal(g, 'feedback', 2)}, real "
    yield f", real {off_diagonal(g, 'real', 2)}, random phases {off_diagonal(g, 'random', 2)}, ideal phases "
    yield f", ideal phases {off_diagonal(g, 'ideal', 2)}."
    models = "komplexnet", "feedback", "real", "random", "ideal"
    yield f"training on 2 instead of 3 costs {', '.join(off_diagonal(g, model, 3) for model in models)}."
    less = {}
    for digits in (2, 3):
        for model in ("komplexnet", "feedback"):
            costs = cost(g, "real", digits), cost(g, model, digits)
            less[digits, model] = (costs[0] - costs[1]).mean(), stats.paired_t_test(*costs).p_value
    on = {key: f"{mean:.3f}, p {p:.3f}" for key, (mean, p) in less.items()}
    yield f"(on 2 digits by {on[2, 'komplexnet']}, and {on[2, 'feedback']}; on 3 by {on[3, 'komplexnet']}, and "
    mean, p = less[3, "feedback"]
    yield f", and {mean:.3f}, p {p:.2f})"


def k4():
    g = Numbers("komplexnet/generalization")

    def lead(first, second, digits, sign="+"):
        return g.points((first, f"digits{digits}"), (second, f"digits{digits}")).lstrip("" if sign else "+")

    def over_real(model, counts, end=""):
        return [lead(model + end, "real" + end, count, "") for count in counts]

    yield f"({', '.join(lead('feedback@3', 'komplexnet@3', count) for count in range(2, 7))} points, p "
    *most, last = over_real("feedback", range(2, 9), "@3")
    yield f"{', '.join(most)} and {last} points above real from 2 to 8 "
    yield f"from 2 to 8 (feedforward {', '.join(over_real('komplexnet', range(2, 9), '@3'))})"
    yield f"({lead('komplexnet', 'real', 3)} points feedforward, {lead('feedback', 'real', 3)} feedback; "
    pairs = [" and ".join(over_real(model, [count])[0] for model in ("komplexnet", "feedback")) for count in (2, 4, 5)]
    yield f"; {pairs[0]} at 2, {pairs[1]} at 4, {pairs[2]} at 5, below 1 at 8)"


def k5_to_k11():
    k = Numbers("komplexnet")

    def later(model, split, metric="accuracy"):
        return " to ".join(k.mean(model, f"{split}@60", step, metric) for step in (15, 60))

    yield f"from step 15 to 60, {later('komplexnet', 'test')} (feedback {later('feedback', 'test')}), under overlap "
    yield f"under overlap {later('komplexnet', 'overlap')} ({later('feedback', 'overlap')}), synchrony loss "
    yield f"synchrony loss {later('komplexnet', 'test', 'synchrony')} ({later('feedback', 'test', 'synchrony')}). "
    yield f"Under noise {later('komplexnet', 'noise')} ({later('feedback', 'noise')})"
    test, overlap, noise = ({model: k.mean(model, split) for model in K6} for split in SPLITS)
    p = [k.p(*((model, "test") for model in pair), digits) for pair, digits in ((K6[:2], 3), ((K6[2], K6[0]), 2))]
    yield f"{test[K6[0]]} against {test[K6[1]]} (p {p[0]}) and {test[K6[2]]} (p {p[1]}); under overlap "
    yield f"under overlap {overlap[K6[0]]} against {overlap[K6[1]]} and {overlap[K6[2]]}; under noise "
    yield f"the fixed kernel is best of all, {noise[K6[0]]} against {noise[K6[2]]}"
    for split, text in zip(
        SPLITS, ("(feedback against feedforward p {}), 0;", "under overlap (p {})", "under noise (p {})"), strict=True
    ):
        values = [k.mean(model, split, None, "synchrony") for model in ("random", "komplexnet", "feedback")]
        far = k.p(*((model, split, None, "synchrony") for model in ("feedback", "komplexnet")))
        yield f"{', '.join(values)} {text.format(far)}"
    larger = [k.points(("real_large", split), ("komplexnet", split)) for split in SPLITS]
    yield f"larger real {', '.join(larger)} points"


def k7_and_k8():
    layers, back = Numbers("komplexnet/feedback_layers"), Numbers("komplexnet/background")
    models = "komplexnet", "feedback_l2", "feedback_l3", "feedback_l4", "feedback"
    names = "without feedback", "from l2", "from l3", "from l4", "from all"
    yield ", ".join(f"{layers.spread(model, 'test')} {name}" for model, name in zip(models, names, strict=True))
    yield f"under overlap {', '.join(layers.mean(model, 'overlap') for model in models)}; under noise "
    yield f"under noise {', '.join(layers.mean(model, 'noise') for model in models)}."
    on = {model: back.spread(f"{model}@background", "test_of_@background") for model in K8}
    yield f"KomplexNet {on['komplexnet']}, with feedback {on['feedback']}, both hardly above chance (0.200), real "
    yield f", real {on['real']}, random phases {on['random']}, ideal phases {on['ideal']}."


SPLITS = "test", "overlap", "noise"
K6 = "fixed_kernel", "random", "komplexnet"
K8 = "komplexnet", "feedback", "real", "random", "ideal"


def separation():
    """Numbers of the packaged networks by network and scenes: (mean, standard deviation) of a score, as written."""
    content = json.loads((RESULTS / "separation/separation.json").read_text())
    assert experiments.separation.page(content) == (RESULTS / "separation/separation.md").read_text()
    found = {}
    for row in content["rows"]:
        for score in experiments.separation.SCORES.keys() & row.keys():
            values = [value for value in row[score] if value is not None]
            found[row["network"], row["scenes"], score] = f"{np.mean(values):.3f}", f"{np.std(values, ddof=1):.3f}"
    return lambda *key: found[key]


def figures_7_11_and_15():
    of, g, k = separation(), Numbers("komplexnet/generalization"), Numbers("komplexnet")
    three, overlap, two = (
        {score: of("komplexnet", scenes, score) for score in ("order", "separation", "fg_ari")}
        for scenes in ("three digits", "two digits, overlap", "two digits")
    )
    yield f"order parameter of a digit {three['order'][0]}, angle between two digits "
    yield f"two digits {' ± '.join(three['separation'])} over 200 scenes (2.094: equidistant), clusters "
    yield f"FG-ARI {three['fg_ari'][0]} ([packaged"
    synchrony = {
        (model, digits): g.mean(model, f"digits{digits}", None, "synchrony")
        for model in ("komplexnet", "komplexnet@3")
        for digits in (2, 3)
    }
    yield f"is {synchrony['komplexnet', 3]} after training on two digits and {synchrony['komplexnet@3', 3]} on three; "
    yield f"shown two, {synchrony['komplexnet', 2]} and {synchrony['komplexnet@3', 2]}:"
    best = k.run.summary["best_seed"]
    on = lambda split: {m: k.run.values(m, split)[best[m]] for m in ("komplexnet", "feedback", *K1)}  # noqa: E731
    test, overlapping, noisy = ({m: f"{value:.3f}" for m, value in on(split).items()} for split in SPLITS)
    yield f"ideal phases {test['ideal']}, KomplexNet {test['komplexnet']}, with feedback {test['feedback']}, real "
    yield f", real {test['real']}, random phases {test['random']}; under overlap "
    yield f"under overlap {', '.join(sorted(overlapping.values(), reverse=True))}; under noise "
    yield f"with feedback {noisy['feedback']}, ideal phases {noisy['ideal']}, KomplexNet {noisy['komplexnet']}, random "
    yield f"random phases {noisy['random']}, real {noisy['real']}."
    own = {score: of("komplexnet", "two digits, overlap", f"overlap_{score}") for score in ("order", "distance")}
    yield f"share one phase (order parameter {own['order'][0]}) between"
    yield f"are {' ± '.join(overlap['separation'])} apart, and the overlap {' ± '.join(own['distance'])} from"
    yield f"in antiphase, {' ± '.join(two['separation'])} apart, FG-ARI {two['fg_ari'][0]}; less under noise "
    noise = [of("komplexnet", "two digits, noise of variance 0.1", score)[0] for score in ("separation", "fg_ari")]
    yield f"less under noise ({', '.join(noise)})."


def gaspnet_separation():
    of = separation()
    order, angle, ari = (of("gaspnet", "two digits", score) for score in ("order", "separation", "fg_ari"))
    yield f"(order parameter {order[0]}), and two digits are {' ± '.join(angle)} radians apart"
    yield f"(FG-ARI {ari[0]})"


K1 = "ideal", "random", "real"


def readme_sentences():
    c = Numbers("compare/tetrominoes")
    clean, noisy = ([c.mean(model, split) for model in ("komplexnet", "real")] for split in ("test", "noise0.15"))
    yield f"it finds {clean[0]}, its baseline {clean[1]}, and under noise {noisy[0]} against {noisy[1]}."
    g = Numbers("komplexnet/generalization")
    of = lambda model: g.mean(model, "digits2")  # noqa: E731
    yield f"KomplexNet finds {of('komplexnet@3')} of the digits after training on three ({of('komplexnet')} after "
    yield f"; with feedback {of('feedback@3')} ({of('feedback')}); the real-valued model {of('real@3')} ({of('real')})"


def waves_sentences():
    w, drum = Numbers("waves/tetrominoes"), json.loads((RESULTS / "waves/drum/drum.json").read_text())
    of = lambda model: w.mean(model, "test", None, "foreground_accuracy")  # noqa: E731
    yield f"at most {100 * drum['error_to_theory']:.2f} % below theory (side 13)"
    largest = drum["drums"][-1]
    yield f"{100 * abs(1 - largest['simulated'] / largest['theory']):.2f} % at side {largest['side']}"
    yield f"**reproduced in order**: {of('nwm_linear')}, {of('nwm_fft')}, {of('nwm_last')}."
    seeds = sorted(w.values("lstm_linear", "test", None, "foreground_accuracy"), reverse=True)
    yield f"{of('nwm_linear')} against {seeds[0]:.3f} and {seeds[1]:.3f} in its two seeds"
    packaged = Numbers("waves/tetrominoes_conv_lstm").mean("lstm_linear", "test", None, "foreground_accuracy")
    second = w.values("lstm_linear", "test", None, "foreground_accuracy")[1]
    yield f"accuracy on the foreground {packaged}, "
    yield f"The same seed had {second:.3f} above"


def w4_sentences():
    folder = RESULTS / "waves/polygons"
    stored = json.loads((folder / "waves.json").read_text())["nwm_fft"]
    for kind, limit in itertools.product(("raw", "wrapped"), ("1.5", "4", "12")):
        found = stored[kind][limit]
        ends = [f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" for values in (found["first"], found["last"])]
        each, mean = ", ".join(map(number, found["correlation"])), "-"
        if found["low"] is not None:
            mean = f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
        yield f"| {kind}, {limit} px | {ends[0]} | {ends[1]} | {number(found['of_means'])} | {each} | {mean} |"
    course = wavelengths.courses(engine.load_metrics(folder), ["nwm_fft"])["nwm_fft"]["raw"]
    at, share, loss = course.steps.tolist().index(20), course.shares.mean(0)[:, -1], course.losses.mean(0)
    last = course.steps[-1]
    yield f"{share[0]:.3f} before the first update, {share[at]:.3f} after 20, {share[-1]:.3f} after {last} |"
    assert share.argmax() == at
    yield f"to fall from {loss[at]:.3f} to {loss[-1]:.3f}: "
    late = wavelengths.correlation(course.shares.mean(0)[at:], -loss[at:])[-1]
    yield f"from update 20 on the correlation of the means is {late:.3f}."
    raw = stored["raw"]["1.5"]
    yield f"{raw['of_means']:.3f} of the means, {raw['mean']:.3f} [{raw['low']:.3f}, {raw['high']:.3f}] over seeds."
    assert [raw["validations"], raw["steps"]] == [len(course.steps), [0, last]]
    yield f"then every 25: {len(course.steps)} times."


def w2_and_w3_sentences():
    of = lambda numbers, model: numbers.mean(model, "test", None, "foreground_accuracy")  # noqa: E731
    w = Numbers("waves/mnist")
    order = [of(w, f"nwm_{how}") for how in ("linear", "fft", "last", "max", "mean")]
    yield f"**the paper's order**: {order[0]}, {order[1]}, then last {order[2]}, max {order[3]}, mean {order[4]};"
    cnns = max(of(w, f"cnn_{depth}") for depth in (2, 4, 8, 16))
    lstm = of(w, "lstm_linear")
    yield f"{order[0]} against {lstm} for the ConvLSTM with the same readout and at most {cnns} for CNNs"
    spreads = {
        model: w.values(model, "test", None, "foreground_accuracy").std(ddof=1)
        for model in (*(f"nwm_{how}" for how in ("linear", "fft", "last", "max", "mean")), "lstm_linear")
    }
    first = spreads.pop("nwm_linear")
    yield f"{first:.3f}; of the others that have left chance the smallest is {min(spreads.values()):.3f}"
    c = Numbers("waves/mnist_cosine")
    nwm, lstm = (
        [of.spread(model, "test", None, "foreground_accuracy") for of in (c, w)]
        for model in ("nwm_linear", "lstm_linear")
    )
    yield f"The NWM then names {nwm[0]} of the foreground, {nwm[1]} with the constant rate of 1e-3;"
    yield f"the ConvLSTM does not leave chance, {lstm[0]} against {lstm[1]}"
    yield f"The NWM names {of(Numbers('waves/multi_mnist_short'), 'nwm_linear')} of the foreground;"


def compare_sentences():
    c = Numbers("compare/digits")
    ari = lambda model: c.mean(model, "groups", None, "fg_ari")  # noqa: E731
    overlap = lambda model: c.mean(model, "groups_overlap", None, "fg_ari")  # noqa: E731
    found = lambda model: c.mean(model, "test")  # noqa: E731
    yield f"(FG-ARI {ari('komplexnet')}, and {overlap('komplexnet')} where they overlap)"
    yield f"do not part them ({ari('real')}). Of networks without phases only the CNN of 8 layers comes near "
    yield f"comes near ({ari('cnn_8')}, {overlap('cnn_8')}), and"
    noise = [c.mean(model, "noise0.15") for model in ("komplexnet", "real")]
    yield f"KomplexNet finds {found('komplexnet')} of the digits, `real` {found('real')}."
    yield f"Under weak noise it is ahead, {noise[0]} against {noise[1]}."
    first = c.mean("gaspnet", "test", 1)
    yield f"(`train.plain_first`): {found('gaspnet')} of the digits, of which it finds {first} after"
    yield f"the baseline finds the most of all, {found('baseline')}."
    yield f"(angle {c.mean('gaspnet', 'test', None, 'separation')}, FG-ARI {ari('gaspnet')})"
    assert max(map(found, c.run.summary["models"])) == found("baseline")
    yield f"finds {found('nwm_linear')} with the fewest"
    spreads = [c.spread(model, "groups", None, "fg_ari") for model in ("nwm_linear", "unet_3")]
    yield f"not in the other ({spreads[0]}), and so do those of the U-Net ({spreads[1]}), which"
    yield f"which names {c.mean('unet_3', 'test', None, 'foreground_accuracy')} of the foreground."


def compare_tetrominoes():
    c = Numbers("compare/tetrominoes")
    splits = "test", "noise0.15", "noise0.3"
    mine, plain = ([c.mean(model, split) for split in splits] for model in ("komplexnet", "real"))
    gaps = [f"{first} against {second}" for first, second in zip(mine, plain, strict=True)]
    yield f"{gaps[0]}, and more so under noise, {gaps[1]} and {gaps[2]};"
    ari = lambda model, split="groups": c.mean(model, split, None, "fg_ari")  # noqa: E731
    yield f"their colours do (FG-ARI {ari('komplexnet')}), under noise too ({ari('komplexnet', 'groups_noise')})."
    pair = [[c.mean(model, split) for model in ("gaspnet", "baseline")] for split in splits]
    yield f"on clean scenes, {pair[0][0]} against {pair[0][1]}, and level with it under the stronger noise, "
    yield f"under the stronger noise, {pair[2][0]} against {pair[2][1]}."
    yield f"(angle {c.mean('gaspnet', 'test', None, 'separation')}, FG-ARI {ari('gaspnet')})."
    seeds = [" and ".join(f"{x:.3f}" for x in c.values(model, "test")) for model in ("cnn_8", "unet_3", "nwm_linear")]
    yield f"the CNN finds {seeds[0]}, the U-Net {seeds[1]}, the wave machine {seeds[2]};"
    yield f"{c.mean('nwm_linear', 'noise0.15')} of {c.mean('nwm_linear', 'test')} are left."
    assert c.run.summary["chance"]["test"]["accuracy"] == 0.36


def number(value):
    return "-" if value is None else f"{value:.3f}"


def values_of_loss(numbers, model):
    (values,) = zip(*numbers.run.summary["training"][model]["metrics"]["validation"]["loss"]["values"], strict=True)
    return " and ".join(f"{value:.3f}" for value in values)


def akorn_sentences():
    n = Numbers("akorn/two_shapes")
    ari, foreground, overlap = (
        n.mean("complex_autoencoder", "test", None, score) for score in ("ari", "fg_ari", "mbo")
    )
    yield f"adjusted Rand index {ari}, of the foreground {foreground}, mean best overlap {overlap}."
    yield f"**reproduced**, one seed: {foreground}, with the background {ari}"
    found = Numbers("akorn/discovery")
    score = lambda model, split="test": found.mean(model, split, None, "fg_ari")  # noqa: E731
    tiles = "test+tiles4"
    for split in ("test", tiles):
        mine, theirs = (found.values(model, split, None, "fg_ari") for model in ("akorn", "itrsa"))
        assert mine.min() > theirs.max()
    yield f"{score('akorn')} against {score('itrsa')}, "
    apart, by_tiles = (
        stats.summarize(np.subtract(*(found.values(model, split, None, "fg_ari") for model in ("akorn", "itrsa"))))
        for split in ("test", tiles)
    )
    assert by_tiles.low < 0 < apart.low
    yield f"a difference of {apart.mean:.3f} [{apart.low:.3f}, {apart.high:.3f}]. "
    yield f"With tiles {score('akorn', tiles)} against {score('itrsa', tiles)}"
    losses = {model: values_of_loss(found, model) for model in ("akorn", "itrsa")}
    yield f"is {losses['akorn']} at the end, ItrSA's {losses['itrsa']} ({np.log(2 * 64 - 1):.3f} where all"


SENTENCES = [
    *(
        ("experiments/results/komplexnet/README.md", of)
        for of in (k1_and_k2, quick_scale, k3, k4, k5_to_k11, k7_and_k8, figures_7_11_and_15)
    ),
    ("README.md", readme_sentences),
    ("experiments/results/akorn/README.md", akorn_sentences),
    ("experiments/results/gaspnet/README.md", gaspnet_sentences),
    ("experiments/results/gaspnet/README.md", gaspnet_recipe),
    ("experiments/results/gaspnet/README.md", gaspnet_separation),
    ("experiments/results/gaspnet/README.md", gaspnet_overlays),
    ("experiments/results/gaspnet/README.md", gaspnet_fashion),
    ("experiments/results/waves/README.md", waves_sentences),
    ("experiments/results/waves/README.md", w4_sentences),
    ("experiments/results/waves/README.md", w2_and_w3_sentences),
    ("experiments/results/compare/README.md", compare_sentences),
    ("experiments/results/compare/README.md", compare_tetrominoes),
]


@pytest.mark.parametrize(("page", "sentences"), SENTENCES, ids=lambda value: value if isinstance(value, str) else "")
def test_sentences_are_those_of_the_summaries(page, sentences):
    text = read(page)
    assert [sentence for sentence in sentences() if sentence not in text] == []
