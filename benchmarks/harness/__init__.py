"""Start each server, drive it with one load generator, record what came out, and render it."""
