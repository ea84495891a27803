"""Guidance: what changes the posterior. Each method is a Denoiser that wraps a Denoiser."""

from ornstein.guidance.cfg import CFG as CFG
