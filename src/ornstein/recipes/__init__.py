"""Recipes: published systems, one file each, that train, sample and are measured."""
