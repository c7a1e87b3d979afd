"""The measuring itself: bench/run is the entry, bench/README.md the map."""
