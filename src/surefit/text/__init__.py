"""From text to token ids and packed batches. No torch."""
