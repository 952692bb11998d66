"""One HTML page that tells what a run found and how far it can be trusted, from what stands in the run's files."""
