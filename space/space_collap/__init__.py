"""The app of the Space: find music, describe a track, compare two descriptions."""
