"""The embedded simulator: track, physics, camera, world and its server."""
