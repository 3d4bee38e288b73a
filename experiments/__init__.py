"""Experiments on the models of oscnets: the engine, the families, and the programs beside them."""
