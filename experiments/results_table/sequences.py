"""Claims about networks of oscillators on sequences (Keller et al., 2024)."""

from experiments.results_table.claim import Claim, gap

CLAIMS = (
    Claim("S1", "wave-RNN above iRNN, copying", "sequences/copy", gap("wrnn", "irnn", "test"), "above"),
    Claim(
        *("S2", "squared error of the wave-RNN less the iRNN's, adding", "sequences/adding"),
        *(gap("wrnn", "irnn", "test", "loss"), "below", "below"),
    ),
)
