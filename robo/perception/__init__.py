"""Camera frames to observations."""
