"""Agents, replay, checkpoints, export and metrics. TensorFlow is imported here and nowhere else."""
