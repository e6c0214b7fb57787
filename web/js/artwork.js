// Generated pictures: every item gets its own moving scene, the same one every time. Owns palettes, the choice of the motif
// and the animation loop; the motifs themselves are in motifs-*.js.

import { words } from './dom.js';
import { pages, plate, pulse, tiles } from './motifs-craft.js';
import { leaves, peaks, road, skyline, stars, waves } from './motifs-outdoors.js';
import { cat, grid, ribbons, smile, track, vinyl } from './motifs-play.js';

const PIXEL_RATIO_MAX = 2;
const FRAME_MS_MIN = 33;
const STILL_AT_SECONDS = 3;

/** First matching row wins; a category that matches none gets a motif and a hue by its hash. */
const MOTIFS = [
  [/\b(?:music|song|concert|audio)/, vinyl, 262],
  [/\b(?:danc|fashion|beaut|style|makeup)/, ribbons, 322],
  [/\b(?:food|cook|recipe|bak|drink|coffee)/, plate, 24],
  [/\b(?:gam|esport)/, grid, 288],
  [/\b(?:cats?\b|dog|pet|animal|wildlife)/, cat, 32],
  [/\b(?:comed|fun|humou?r|meme|prank)/, smile, 48],
  [/\b(?:scien|space|astro|physic)/, stars, 226],
  [/\b(?:tech|gadget|cod|program|computer|financ|business)/, pulse, 190],
  [/\b(?:cars?\b|moto|auto|vehicle)/, road, 8],
  [/\b(?:travel|beach|ocean|surf|sea|swim)/, waves, 198],
  [/\b(?:nature|garden|plant|forest|outdoor)/, leaves, 140],
  [/\b(?:hik|mountain|climb|ski|winter|adventure)/, peaks, 212],
  [/\b(?:news|city|urban|politic|architect|street)/, skyline, 234],
  [/\b(?:sport|fit|gym|yoga|run|ball|health)/, track, 162],
  [/\b(?:edu|learn|book|school|histor|language|read)/, pages, 42],
  [/\b(?:arts?\b|diy|craft|design|draw|home|paint|photo)/, tiles, 350],
];
const ALL_MOTIFS = [waves, tiles, peaks, ribbons, stars, leaves, pages, skyline, track, pulse];

/** A stable 32-bit hash of a string (FNV-1a with a final mix). */
export function hash(text) {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 15), 0x85ebca6b);
  return (value ^ (value >>> 13)) >>> 0;
}

/** A seeded generator of numbers in [0, 1) (mulberry32). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function motifOf(category) {
  const known = MOTIFS.find(([pattern]) => pattern.test(words(category).toLowerCase()));
  if (known) return { motif: known[1], hue: known[2] };
  const seed = hash(category);
  return { motif: ALL_MOTIFS[seed % ALL_MOTIFS.length], hue: seed % 360 };
}

/** The colour that stands for a category everywhere on the page, as a CSS colour. */
export function categoryColour(category) {
  return `hsl(${motifOf(category).hue} 68% 58%)`;
}

function paletteOf(hue, random) {
  const base = (hue + (random() - 0.5) * 34 + 360) % 360;
  const accent = (base + [32, 150, 180, 210, -36][Math.floor(random() * 5)] + 360) % 360;
  const tone = (h, s, l) => (alpha = 1) => `hsl(${h} ${s}% ${l}% / ${alpha})`;
  return {
    night: tone(base, 52, 9),
    deep: tone(base, 56, 19),
    middle: tone(base, 60, 36),
    bright: tone(base, 74, 56),
    light: tone(base, 88, 82),
    accent: tone(accent, 84, 62),
    accentDeep: tone(accent, 62, 34),
  };
}

/** The scene of an item: a function that paints it at a time (seconds) into a context of a size. */
export function sceneOf(item) {
  const category = item.categories?.[0] ?? 'other';
  const random = generator(hash(`${item.id}|${item.categories?.join(',') ?? ''}`));
  const { motif, hue } = motifOf(category);
  const palette = paletteOf(hue, random);
  const paintMotif = motif(random, palette);
  const glows = Array.from({ length: 3 }, (_, index) => ({
    x: random(),
    y: random() * 0.8,
    radius: 0.45 + random() * 0.4,
    phase: random() * 6.28,
    colour: [palette.middle, palette.accentDeep, palette.bright][index],
  }));
  return (context, width, height, seconds) => {
    paintBackground(context, width, height, seconds, palette, glows);
    context.save();
    paintMotif(context, width, height, seconds);
    context.restore();
  };
}

function paintBackground(context, width, height, seconds, palette, glows) {
  const base = context.createLinearGradient(0, 0, width * 0.3, height);
  base.addColorStop(0, palette.deep());
  base.addColorStop(1, palette.night());
  context.fillStyle = base;
  context.fillRect(0, 0, width, height);
  for (const glow of glows) {
    const x = (glow.x + Math.sin(seconds * 0.21 + glow.phase) * 0.09) * width;
    const y = (glow.y + Math.cos(seconds * 0.17 + glow.phase) * 0.06) * height;
    const radius = glow.radius * height * 0.62;
    const light = context.createRadialGradient(x, y, 0, x, y, radius);
    light.addColorStop(0, glow.colour(0.62));
    light.addColorStop(1, glow.colour(0));
    context.fillStyle = light;
    context.fillRect(0, 0, width, height);
  }
}

/** A still, small picture of an item for lists. */
export function paintStill(canvas, item) {
  const ratio = Math.min(PIXEL_RATIO_MAX, window.devicePixelRatio || 1);
  const { width, height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  sceneOf(item)(context, width, height, STILL_AT_SECONDS);
}

/** Plays the scene of one item at a time on a canvas that follows the size of its box. */
export class ArtworkPlayer {
  #canvas;
  #context;
  #scene = null;
  #seconds = STILL_AT_SECONDS;
  #playing = false;
  #paintedAt = 0;
  #frame = 0;
  #stillness = window.matchMedia('(prefers-reduced-motion: reduce)');

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { alpha: false });
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#stillness.addEventListener('change', () => this.#wake());
  }

  show(item) {
    this.#scene = sceneOf(item);
    this.#seconds = STILL_AT_SECONDS;
    this.#resize();
    this.#wake();
  }

  set playing(playing) {
    this.#playing = playing;
    this.#wake();
  }

  #resize() {
    const ratio = Math.min(PIXEL_RATIO_MAX, window.devicePixelRatio || 1);
    const width = Math.round(this.#canvas.clientWidth * ratio);
    const height = Math.round(this.#canvas.clientHeight * ratio);
    if (width === 0 || height === 0) return;
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
    this.#paint();
  }

  #paint() {
    this.#scene?.(this.#context, this.#canvas.width, this.#canvas.height, this.#seconds);
  }

  #wake() {
    cancelAnimationFrame(this.#frame);
    if (!this.#playing || this.#stillness.matches) return;
    this.#paintedAt = performance.now();
    const step = (now) => {
      const elapsedMs = now - this.#paintedAt;
      if (elapsedMs >= FRAME_MS_MIN) {
        this.#paintedAt = now;
        this.#seconds += Math.min(elapsedMs, 100) / 1000;
        this.#paint();
      }
      this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }
}
