"""The studio: a page in the browser on the engine of :mod:`ornstein.serving`. ``ornstein studio`` opens it.

``parts`` hold what each tab does, without a page; ``tabs`` lay it out; ``views`` show samples, one for each modality.
"""
