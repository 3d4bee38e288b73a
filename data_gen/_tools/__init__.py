"""Tools that the generators share: random numbers, checks of arguments, exact pixels, places, digits, cached arrays."""
