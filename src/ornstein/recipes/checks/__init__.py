"""One check per recipe, in the file of the recipe's name: ``CHECK``, a :class:`ornstein.recipes.check.Check`."""
