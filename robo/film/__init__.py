"""Films of a car: its camera, its line from above, and its figures."""
