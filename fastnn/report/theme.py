"""The look of a page: one style sheet, for light and dark, wide and narrow."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfc; --ink: #1b1e22; --soft: #636b74; --line: #dfe2e5; --box: #f4f5f6;
  --mark: #fff3cf; --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #e69f00; --c5: #56b4e9; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e4e7ea; --soft: #9aa3ad; --line: #30363c;
  --box: #1d2125; --mark: #4a3d12; --c0: #4ba3dd; --c1: #f08a45; --c2: #2fc299;
  --c3: #e3a0c6; --c4: #f2bd45; --c5: #8fd0f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, Helvetica,
  Arial, sans-serif; -webkit-text-size-adjust: 100%; }
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.1rem; }
header { padding-top: 2.2rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.1rem 0 0.3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 0.6rem; padding-top: 0.7rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 0.4rem; }
p { margin: 0.4rem 0; max-width: 46rem; }
a { color: var(--c0); }
.kicker, .note, figcaption, caption { color: var(--soft); font-size: 0.88rem; }
.kicker { letter-spacing: 0.06em; text-transform: uppercase; margin: 0; }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin: 0.9rem 0; font-size: 0.92rem; }
.missing { color: var(--soft); border-left: 3px solid var(--c4); padding: 0.15rem 0.7rem; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: 0.7rem; margin: 1rem 0; }
.card { background: var(--box); border-radius: 8px; padding: 0.65rem 0.85rem; min-width: 0; }
.card b { display: block; font-size: 1.3rem; font-weight: 650; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.card b.words { font-size: 1rem; line-height: 1.35; }
.card span { color: var(--soft); font-size: 0.84rem; display: block; line-height: 1.35; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 0.6rem 1.6rem;
  align-items: start; }
.pair > * { min-width: 0; }
figure { margin: 0.6rem 0; }
figure svg { display: block; width: 100%; height: auto; font-family: system-ui, "Segoe UI", Roboto, Helvetica, Arial,
  sans-serif; }
.wide { overflow-x: auto; }
.wide svg { min-width: 34rem; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; margin: 0.5rem 0; }
th, td { text-align: right; padding: 0.22rem 0.75rem 0.22rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
th { white-space: normal; font-weight: 600; color: var(--soft); vertical-align: bottom; }
th.text, td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; }
td.text { min-width: 6rem; }
tr.mark td { background: var(--mark); }
caption { text-align: left; padding-bottom: 0.3rem; }
.bar { display: block; height: 0.55rem; margin-top: 0.45rem; border-radius: 3px; background: var(--c0);
  min-width: 1px; }
td.span { width: 40%; min-width: 6rem; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.4rem, 1fr)); gap: 0.8rem 0.7rem;
  margin: 0.6rem 0; }
.images figure { margin: 0; font-size: 0.8rem; line-height: 1.3; min-width: 0; }
.images img { display: block; width: 100%; max-width: 6.4rem; aspect-ratio: 1; object-fit: contain;
  background: var(--box);  border-radius: 4px; image-rendering: pixelated; margin-bottom: 0.25rem; }
.images b { font-weight: 600; overflow-wrap: anywhere; }
.images figcaption { font-size: inherit; overflow-wrap: anywhere; }
.switch > input { position: absolute; opacity: 0; pointer-events: none; }
.switch > label { display: inline-block; font-size: 0.84rem; padding: 0.1rem 0.7rem; border: 1px solid var(--line);
  border-radius: 99px; margin-right: 0.4rem; cursor: pointer; color: var(--soft); }
.switch > input:checked + label { background: var(--box); color: var(--ink); border-color: var(--soft); }
.switch > input:focus-visible + label { outline: 2px solid var(--c0); }
.switch > .panel { display: none; }
.switch > input:nth-of-type(1):checked ~ .panel:nth-of-type(1), .switch > input:nth-of-type(2):checked ~
  .panel:nth-of-type(2) { display: block; }
.dot { display: inline-block; width: 0.72em; height: 0.72em; border-radius: 50%; margin-right: 0.45em; }
details { margin: 0.7rem 0; }
details.run { border: 1px solid var(--line); border-radius: 8px; padding: 0 1rem; margin: 1rem 0; }
summary { cursor: pointer; padding: 0.4rem 0; }
details.run > summary { font-size: 1.1rem; font-weight: 650; padding: 0.7rem 0; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 0.85rem; padding: 2.5rem 1.1rem 3rem; overflow-wrap: anywhere; }
@media print { .switch > label { display: none; } details.run { border: 0; } }
"""
