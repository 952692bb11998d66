"""Recipes: each composes the stages and reads from top to bottom."""
