"""The machine's processor and peaks."""

import platform

import pytest

from experiments.bench import harness, machine

INTEL = """processor : 0
model name\t: Some Processor 9000
flags\t\t: fpu sse4_2 avx avx2 avx512f
"""


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        (INTEL, "Some Processor 9000", "AVX-512"),
        (INTEL.replace("avx512f", "avx512f amx_tile"), "Some Processor 9000", "AMX"),
        (INTEL.replace("avx512f", ""), "Some Processor 9000", "AVX2"),
        ("Features\t: fp asimd", platform.processor(), "NEON"),
        (None, platform.processor(), platform.machine()),
    ],
)
def test_the_processor_and_its_widest_instructions(text, name, found, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_INFO", tmp_path / "cpuinfo")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert machine.processor() == name
    assert machine.instruction_set() == found


@pytest.mark.parametrize(("side", "amount"), [("product", 2 * 64**3), ("copy", 8 * 64)])
def test_sides_say_how_much_they_do(side, amount):
    with harness.Worker(f"experiments.bench.machine:{side}", {"size": 64}) as worker:
        assert worker.ask("facts")["amount"] == amount
        assert worker.ask("turn")["seconds"] > 0


def test_shares_are_rates_of_the_step_over_those_of_the_machine():
    sides = {"product": {"amount": 100.0}, "copy": {"amount": 40.0}}
    peaks = machine.facts({"product": [1.0, 2.0, 9.0], "copy": [4.0]}, sides)
    assert (peaks["product_flops_per_second"], peaks["copy_bytes_per_second"]) == (50, 10)
    assert machine.shares([500.0, 250.0, 1e5], {"flops": 5, "bytes": 1}, peaks) == {"product": 0.2, "copy": 0.2}
