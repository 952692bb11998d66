"""How good a classifier is, measured on rows it has not seen, and said in words."""
