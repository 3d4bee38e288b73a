"""Contact sheets of the data sets: samples beside their masks, in one PNG. See `python -m data_gen.preview --help`."""
