// Small helpers to build DOM without markup strings. Owns no state; must never parse HTML (the page runs under a strict
// content security policy and shows text that came from others).

const SVG_NAMESPACE = 'http://www.w3.org/2000/svg';

/** The element with this id; a missing one is a mistake in the page, so it throws at once. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element;
}

/**
 * A new element. `attributes` are set as attributes, except `text`, `class` and `data`; children may be strings.
 * A `style` attribute would be refused by the policy: use `element.style.setProperty` for lengths instead.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'text') element.textContent = value;
    else if (name === 'class') element.className = value;
    else if (name === 'data') Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An icon out of the page's sprite; decorative, so hidden from assistive technology. */
export function icon(name) {
  const svg = document.createElementNS(SVG_NAMESPACE, 'svg');
  const use = document.createElementNS(SVG_NAMESPACE, 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Milliseconds as `0:07`. */
export function clock(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** A duration for reading: two digits that matter and a unit. */
export function milliseconds(value) {
  if (!Number.isFinite(value)) return '–';
  if (value < 10) return `${value.toFixed(value < 1 ? 2 : 1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${(value / 1000).toFixed(1)} s`;
}

/** `item_item` and `cold-start` as words. */
export function words(identifier) {
  return String(identifier).replaceAll(/[_-]+/g, ' ');
}
