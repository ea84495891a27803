"""Schedulers' files as a process, a parametrisation and steps: the classes of diffusers, and the conventions of each."""
