"""Claims about KomplexNet (Muzellec et al., 2025)."""

from experiments.results_table.claim import Claim, Number, Run, average, gap, minus, steps

MAIN = "komplexnet"
GENERALIZATION, LAYERS, BACKGROUND = f"{MAIN}/generalization", f"{MAIN}/feedback_layers", f"{MAIN}/background"
_CIFAR = "test_of_@background"
_SHIFTS = ((2, "trained on 3, shown 2"), (3, "trained on 2, shown 3"))  # digits in the test


def _cost(run: Run, model: str, test: int) -> dict[int, float]:
    """What a model loses by training on the other number of digits."""
    own, other = ("", "@3") if test == 2 else ("@3", "")
    return minus(*(run.values(model + trained, f"digits{test}") for trained in (own, other)))


def _loss_off_diagonal(model: str, test: int) -> Number:
    return lambda run: _cost(run, model, test)


def _less_off_diagonal(first: str, second: str, test: int) -> Number:
    return lambda run: minus(_cost(run, first, test), _cost(run, second, test))


def _synchrony_off_diagonal(test: int) -> Number:
    own, other = ("", "@3") if test == 2 else ("@3", "")
    return gap(MAIN + other, MAIN + own, f"digits{test}", "synchrony")


def _videos(run: Run) -> dict[int, float]:
    """Videos less single frames, the mean of the eleven frames around the fifteenth, that of the largest overlap."""
    frames = range(10, 21)
    return average([minus(*(run.values(MAIN, split, step=i) for split in ("moving", "frames"))) for i in frames])


CLAIMS = (
    Claim("K1", "KomplexNet above real, two digits", MAIN, gap(MAIN, "real", "test"), "above from step 7"),
    Claim("K1", "with feedback above real, two digits", MAIN, gap("feedback", "real", "test"), "above from step 5"),
    Claim(
        *("K1", "KomplexNet on par with ideal phases (0.05)", MAIN, gap(MAIN, "ideal", "test"), "from step 10"),
        *("within", 0.05),
    ),
    Claim("K1", "with feedback above ideal phases", MAIN, gap("feedback", "ideal", "test"), "above"),
    Claim("K2", "KomplexNet above real, overlap", MAIN, gap(MAIN, "real", "overlap"), "0.10 to 0.15"),
    Claim("K2", "KomplexNet above real, noise", MAIN, gap(MAIN, "real", "noise"), "0.10 to 0.15"),
    Claim("K2", "feedback above feedforward, overlap", MAIN, gap("feedback", MAIN, "overlap"), "above"),
    Claim("K2", "feedback above feedforward, noise", MAIN, gap("feedback", MAIN, "noise"), "above"),
    *(
        Claim(
            *("K3", f"real loses more than {name}, {shift}", GENERALIZATION),
            *(_less_off_diagonal("real", model, test), "baselines lose much"),
        )
        for model, name in ((MAIN, "KomplexNet"), ("feedback", "feedback"))
        for test, shift in _SHIFTS
    ),
    *(
        Claim(
            *("K3", f"{name} loses nearly nothing (0.05), {shift}", GENERALIZATION),
            *(_loss_off_diagonal(model, test), "almost the same", "within", 0.05),
        )
        for model, name in ((MAIN, "KomplexNet"), ("feedback", "feedback"))
        for test, shift in _SHIFTS
    ),
    *(
        Claim(
            *("K3", f"synchrony loss of KomplexNet off the diagonal less on it (0.02), {shift}", GENERALIZATION),
            *(_synchrony_off_diagonal(test), "figure 7: one phase per digit", "within", 0.02),
        )
        for test, shift in _SHIFTS
    ),
    *(
        Claim(
            *("K4", f"feedback above feedforward on {count} digits, trained on {trained}", GENERALIZATION),
            *(gap(f"feedback{label}", f"{MAIN}{label}", f"digits{count}"), "best from 2 to 8"),
        )
        for trained, label in ((3, "@3"), (2, ""))
        for count in range(2, 9)
    ),
    Claim(
        *("K5", "accuracy at step 60 less that at step 15 (0.02)", MAIN, steps(MAIN, "test@60", None, 15), "stays"),
        *("within", 0.02),
    ),
    Claim(
        *("K5", "synchrony loss at step 60 less that at step 15 (0.02)", MAIN),
        *(steps(MAIN, "test@60", None, 15, "synchrony"), "stays", "within", 0.02),
    ),
    Claim("K6", "fixed kernel above random phases", MAIN, gap("fixed_kernel", "random", "test"), "above"),
    Claim("K6", "learned kernel above fixed", MAIN, gap(MAIN, "fixed_kernel", "test"), "above"),
    *(
        Claim("K7", f"feedback from {name} above none", LAYERS, gap(model, MAIN, "test"), "above")
        for model, name in (
            *((f"feedback_l{layer}", f"l{layer} alone") for layer in (2, 3, 4)),
            ("feedback", "all layers"),
        )
    ),
    *(
        Claim("K8", f"{name} above real, pictures behind", BACKGROUND, gap(first, "real@background", _CIFAR), "above")
        for first, name in (("komplexnet@background", "KomplexNet"), ("feedback@background", "with feedback"))
    ),
    Claim("K9", "videos above single frames, 11 frames around the largest overlap", MAIN, _videos, "above around it"),
    Claim(
        *("K10", "synchrony loss, feedforward below random phases", MAIN, gap(MAIN, "random", "test", "synchrony")),
        *("below", "below"),
    ),
    Claim(
        *("K10", "synchrony loss, feedback below feedforward", MAIN, gap("feedback", MAIN, "test", "synchrony")),
        *("below", "below"),
    ),
    *(
        Claim(
            *("K11", f"larger real model below KomplexNet, {split}", MAIN, gap("real_large", MAIN, split), "worse"),
            "below",
        )
        for split in ("overlap", "noise")
    ),
)
