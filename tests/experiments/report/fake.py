"""Runs as the engine writes them, with simple numbers."""

import json

import numpy as np

STEPS, SIZE, CHANNELS = 5, 12, 3
MODELS = ("coupled", "still")
MEANING = {"masks": "objects", "targets": "multi_hot", "phases": "nthwc", "first_step": 1}
MEANING_OF_STATES = {"labels": "nhw", "predictions": "nhw", "targets": "labels", "states": "tnhwc"}
FIGURES = ("levels.png", "animation_a.gif", "learning_curves.png", "over_time_best_test.png", "over_time_test.png")
PIXEL = bytes.fromhex(  # a PNG of one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c636868680000030401814bd3d2100000000049454e44ae426082"
)
CLAIMS = """# What reproduced

| claim | run | status | verdict |
| --- | --- | --- | --- |
| A: *coupled* < all | r | reproduced | **reproduced**: 0.9 at `step 5` |
| B: a \\| b | r | in part | the direction, not the size: [see](x.md), [source](https://example.org/a) |
| C | r | not reproduced | the contrary |
| D | | postponed | |

| claim | score |
| --- | --- |
| status | verdict |
"""


def write_run(folder, *, claims=True, samples=True):
    """A run with two models, one of which has dynamics, and their samples."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines()))
    config = {"experiment": "fake", "variant": "<b>tiny</b>", "command": "python -m fake", "wall_seconds": 90.0}
    config["config"] = {"models": {name: {} for name in MODELS}, "seeds": 2, "seed": 0}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "figures").mkdir(exist_ok=True)
    for name in FIGURES:
        (folder / "figures" / name).write_bytes(PIXEL)
    if claims:
        (folder / "README.md").write_text(CLAIMS)
    if samples:
        (folder / "samples").mkdir(exist_ok=True)
        np.savez(folder / "samples" / "coupled.npz", **phases())
        np.savez(folder / "samples" / "still.npz")
    return folder


def lines():
    for model in MODELS:
        for seed in range(2):
            entry = {"model": model, "seed": seed}
            for step in (10, 20):
                yield entry | {"step": step, "split": "train", "name": "loss", "value": 1 / step + seed}
            if model == "still":
                yield entry | {"step": 20, "split": "test", "name": "accuracy", "value": 0.5}
                continue
            value = [0.1 * t + 0.02 * seed for t in range(1, STEPS + 1)]
            yield entry | {"step": 20, "split": "test", "name": "accuracy", "value": value}


def phases(scenes=3):
    """Two objects per scene: random phases at the first step, one phase per object, half a turn apart, at the last."""
    random = np.random.default_rng(0)
    masks = np.zeros((scenes, SIZE, SIZE, 2), bool)
    masks[:, 1:5, 1:5, 0] = masks[:, 7:11, 6:11, 1] = True
    amplitude = masks.any(-1)[..., None] * random.uniform(0.5, 2, (scenes, SIZE, SIZE, CHANNELS))
    final = np.where(masks[..., :1], 0.0, np.pi)[:, None]
    share = np.linspace(1, 0, STEPS)[:, None, None, None]
    noise = random.uniform(-9, 9, (scenes, STEPS, SIZE, SIZE, CHANNELS))
    return {
        "images": masks.any(-1)[..., None].astype(np.float32),
        "masks": masks,
        "targets": np.eye(10)[[3] * scenes] + np.eye(10)[[7] * scenes],
        "set": np.array(["test", "test", "noise"][:scenes]),
        "phases": final + share * noise,
        "amplitude": amplitude,
        "meaning": json.dumps(MEANING),
    }


def states(frames=120):
    """States that oscillate with a frequency of their class."""
    labels = np.zeros((2, SIZE, SIZE), np.uint8)
    labels[:, 2:6, 2:6] = 1
    labels[1, 8:11, 8:11] = 4
    time = np.linspace(0, 12, frames)[:, None, None, None, None]
    swing = np.sin((1 + labels[None, ..., None]) * time) * np.array([0.5, 4.0])
    return {
        "images": np.repeat((labels > 0)[..., None], 3, -1).astype(np.float32),
        "labels": labels,
        "predictions": np.minimum(labels, 1),
        "states": swing.astype(np.float16),
        "steps": np.arange(1, frames + 1),
        "meaning": json.dumps(MEANING_OF_STATES),
    }


def write_waves(folder):
    """A run with a model that has states and one that has none."""
    write_run(folder, claims=False, samples=False)
    (folder / "samples").mkdir(exist_ok=True)
    whole = states()
    np.savez(folder / "samples" / "coupled.npz", **whole)
    np.savez(folder / "samples" / "still.npz", **{k: whole[k] for k in ("images", "labels", "predictions", "meaning")})
    return folder
