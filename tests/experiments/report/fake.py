"""Runs as the engine leaves them, made of numbers that are known."""

import json

import numpy as np

STEPS, SIZE, CHANNELS = 5, 12, 3
MODELS = ("coupled", "still")
CLAIMS = """# What reproduced

| claim | verdict |
| --- | --- |
| A: *coupled* < all | **reproduced**: 0.9 at `step 5` |
| B: a \\| b | **the direction reproduced, not the size**: [see](x.md), [source](https://example.org/a) |
| C | **not reproduced** |

| model | score |
| --- | --- |
| claim | verdict |
"""


def write_run(folder, *, claims=True, samples=True):
    """A run with two models, one of which has dynamics, and their samples."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines()))
    config = {"experiment": "fake", "variant": "<b>tiny</b>", "command": "python -m fake", "wall_seconds": 90.0}
    (folder / "config.json").write_text(json.dumps(config | {"config": {"models": MODELS, "seeds": 2, "seed": 0}}))
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
            for t in range(1, STEPS + 1):
                value = 0.1 * t + 0.02 * seed
                yield entry | {"step": 20, "split": "test", "name": f"accuracy@{t}", "value": value}


def phases(scenes=3):
    """Two objects of a scene: random at the first step, each of one phase and half a turn apart at the last."""
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
    }


def states(frames=120):
    """A wave that sways with its class."""
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
    }


def write_waves(folder):
    """A run of states, and of a model that has none."""
    write_run(folder, claims=False, samples=False)
    (folder / "samples").mkdir(exist_ok=True)
    whole = states()
    np.savez(folder / "samples" / "coupled.npz", **whole)
    np.savez(folder / "samples" / "still.npz", **{k: whole[k] for k in ("images", "labels", "predictions")})
    return folder
