"""The embedded models' weights, their card and who made what they learned from; `recipe/` made them."""
