"""From a file to clean, grouped and split rows. No torch."""
