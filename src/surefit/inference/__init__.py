"""From texts to predictions with a saved model."""
