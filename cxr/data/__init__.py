"""Labelled radiographs: where they come from, and what is known of each."""
