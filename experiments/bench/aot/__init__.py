"""Programs compiled for devices that are not there: memory, kernels, bytes and arithmetic. Nothing is measured."""
