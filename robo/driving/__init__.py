"""What happens on the track, seen by whoever drives: car state, rewards, episodes, laps, policies."""
