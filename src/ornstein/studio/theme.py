"""How the studio looks: one accent colour, the system's own fonts, the same in light and dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils.fonts import Font

STATIC = Path(__file__).parent / "static"

ACCENT = gr.themes.Color(
    c50="#eef7f6", c100="#d5ecea", c200="#addad6", c300="#7cc1bc", c400="#47a39d", c500="#1d857f", c600="#0f6e69",
    c700="#0d5854", c800="#0c4744", c900="#0b3a38", c950="#062422", name="accent",
)  # fmt: skip
GREY = gr.themes.Color(
    c50="#f8f9fa", c100="#f1f3f4", c200="#e3e6e8", c300="#cdd2d6", c400="#9aa2a9", c500="#6b747c", c600="#4d555c",
    c700="#363d43", c800="#22272b", c900="#181c1f", c950="#111416", name="grey",
)  # fmt: skip

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Ubuntu", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def theme() -> gr.themes.Base:
    """The theme; plain fonts, so that none is fetched."""
    base = gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=GREY,
        radius_size=gr.themes.sizes.radius_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
        text_size=gr.themes.sizes.text_sm,
        font=[Font(name) for name in SANS],
        font_mono=[Font(name) for name in MONO],
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_background_fill="*block_background_fill",
        block_label_background_fill_dark="*block_background_fill",
        block_label_border_width="0px",
        block_label_text_color="*neutral_500",
        block_label_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_300",
        block_title_text_weight="500",
        block_shadow="none",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_width="1px",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_400",
        button_primary_text_color="white",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_large_padding="7px 14px",
        button_large_text_size="*text_md",
        button_large_text_weight="500",
        button_small_text_weight="400",
        button_medium_text_weight="500",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
    )


def css() -> str:
    """What the theme has no words for."""
    return (STATIC / "studio.css").read_text(encoding="utf-8")


def head() -> str:
    """The keyboard, and the choice of light or dark."""
    return f"<script>{(STATIC / 'keys.js').read_text(encoding='utf-8')}</script>"
