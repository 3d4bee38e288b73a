"""Claims about GASPnet (Alamia et al., 2025)."""

from experiments.results_table.claim import Claim, Run, gap, gap_over, minus, steps

RECIPE = "gaspnet/multi_mnist_recipe"  # trained as no paper has it, see docs/provenance.md
MAIN, DIGITS, FASHION = "gaspnet/multi_mnist", "gaspnet/cifar_mnist", "gaspnet/cifar_fashion"
_SIZES = tuple(f"item{size}" for size in (24, 20, 17, 14))
_FROM_3 = "above from step 3"


def _unmodulated(run: Run) -> dict[int, float]:
    return minus(*(run.values("gaspnet", "gaussian0.25", metric) for metric in ("plain_accuracy", "accuracy")))


def _of_pictures(folder: str, items: str) -> tuple[Claim, ...]:
    """Of items over pictures of CIFAR-10: both heads, and items of other sizes than in the training."""
    models = "gaspnet", "baseline"
    return (
        Claim("G3", f"above the baseline, {items}", folder, gap(*models, "test", "item"), "slightly above"),
        Claim(
            *("G3", f"above the baseline, pictures behind {items}", folder),
            *(gap(*models, "test", "picture"), "slightly above"),
        ),
        Claim(
            *("G4", f"above the baseline, {items} of four smaller sizes", folder),
            *(gap_over(_SIZES, *models, "item"), _FROM_3),
        ),
        Claim(
            *("G4", f"level with the baseline (0.02), pictures behind smaller {items}", folder),
            *(gap_over(_SIZES, *models, "picture"), "level", "within", 0.02),
        ),
    )


CLAIMS = (
    Claim(
        *("G1", "on par with the baseline, clean scenes (0.02)", RECIPE, gap("gaspnet", "baseline", "test")),
        *("near 1, on par", "within", 0.02),
    ),
    Claim("G1", "step 6 above step 1, clean scenes", RECIPE, steps("gaspnet", "test", 6, 1), "up, after a slight drop"),
    Claim("G2", "step 6 above step 1, Gaussian noise 0.25", RECIPE, steps("gaspnet", "gaussian0.25", 6, 1), "rises"),
    *(
        Claim(
            "G2", f"above the baseline, {name} {level}", RECIPE, gap("gaspnet", "baseline", f"{kind}{level}"), _FROM_3
        )
        for name, kind, levels in (
            ("Gaussian noise", "gaussian", (0.15, 0.25, 0.35, 0.45, 0.6)),
            ("salt and pepper", "salt_pepper", (0.06, 0.1, 0.2)),
        )
        for level in levels
    ),
    *_of_pictures(DIGITS, "digits"),
    *_of_pictures(FASHION, "fashion items"),
    Claim(
        *("G5", "no synchrony loss below the full model, Gaussian noise 0.25", MAIN),
        *(gap("gaspnet+no_synchrony", "gaspnet", "gaussian0.25"), "below", "below"),
    ),
    Claim(
        *("G5", "kappa = 1, epsilon = 0, tau = 1 below the full model, clean scenes", MAIN),
        *(gap("gaspnet+no_location", "gaspnet", "test"), "below (with tau kept)", "below"),
    ),
    Claim(
        *("G5", "alpha = 0 in the test alone below the full model, Gaussian noise 0.25", MAIN),
        *(_unmodulated, "below (trained with alpha = 0)", "below"),
    ),
)
