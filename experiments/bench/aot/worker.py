"""`python -m experiments.bench.aot.worker PROGRAM TARGET`: compiles one program; prints its figures as JSON, last."""

import json
import sys
import time
from typing import Any

import jax

from experiments.bench.aot import arithmetic, kernels, programs
from experiments.bench.aot.targets import PLATFORM_VERSIONS, TARGETS, Target, devices_of, versions_of
from experiments.engine import fit


def figures(name: str, target: Target, devices: Any) -> dict[str, Any]:
    """The figures of one program, compiled for some devices of a target; those of one device where there are several.

    A training step is of as many seeds as the target has.
    Arguments include the training set, which every device holds. Code is None where the compiler does not tell.
    """
    spent = {}

    def compile_one(program):
        began = time.monotonic()
        spent["lowered"] = program.function.trace(*program.arguments).lower()
        lowering, began, processor = time.monotonic() - began, time.monotonic(), time.process_time()
        compiled = spent["lowered"].compile()
        spent["seconds"] = time.monotonic() - began, time.process_time() - processor, lowering
        return compiled

    program, compiled = fit.fitting(
        programs.builds(name, devices, num_seeds=target.seeds), compile_one, fit.memory.Limit(target.usable)
    )
    lowered, (seconds, processor, lowering) = spent["lowered"], spent["seconds"]
    memory = compiled.memory_analysis()
    text = compiled.as_text()
    found = kernels.count(text)
    operations = arithmetic.flops(lowered.as_text("hlo"))
    return {
        "compile_seconds": round(seconds, 1),
        "compile_cpu_seconds": round(processor, 1),
        "lower_seconds": round(lowering, 1),
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes or None,
        "kernels": found.kernels,
        "kernels_per_step": found.per_step(program.num_steps),
        "flops": operations.total,
        "bytes": found.bytes,
        "least_seconds": least_seconds(found, operations, target),
        "collectives": kernels.collectives(text),
        "num_steps": program.num_steps,
        "loops": [loop._asdict() for loop in found.loops],
        **program.sizes,
    }


def least_seconds(found: kernels.Count, operations: arithmetic.Flops, target: Target) -> dict[str, float | None]:
    """What launches, memory and arithmetic each would take if nothing else took any time."""
    fast = (operations.total - operations.highest) / target.fast
    return {
        "launches": None if target.launch is None else found.kernels * target.launch,
        "memory": found.bytes / target.bandwidth,
        "arithmetic": operations.highest / target.float32 + fast,
    }


def main(name: str, target_name: str) -> None:
    """Compile and print."""
    target = TARGETS[target_name]
    # The models choose how they compute by the platform that they run on.
    jax.default_backend = lambda: {"cuda": "gpu"}.get(target.platform, target.platform)
    if target.level is not None:
        jax.config.update("jax_optimization_level", target.level)
    found = figures(name, target, devices_of(target))
    versions = {"jax": jax.__version__} | versions_of(PLATFORM_VERSIONS[target.platform])
    print(json.dumps(found | {"versions": versions}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
