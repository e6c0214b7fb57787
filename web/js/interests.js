// The learned interests before and after a swipe, as bars. Owns the fetch of the viewer's profile and its two lists; must not
// ask for a feed.

import { byId, el, words } from './dom.js';

const REFRESH_DELAY_MS = 120;
const TAGS_SHOWN_MAX = 8;
/** A tag has moved when its weight changed by more than this share of the largest weight: less is mere decay. */
const MOVED_SHARE_MIN = 0.04;

export class Interests {
  #viewer;
  #timer = 0;
  #request = null;
  #before = null;
  #onProfile;

  /** `onProfile` hears every profile that arrives. */
  constructor(viewer, onProfile) {
    this.#viewer = viewer;
    this.#onProfile = onProfile;
  }

  /** Fetches the profile soon; several calls in a row make one request. */
  refresh() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fetch(), REFRESH_DELAY_MS);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#request?.abort();
  }

  async #fetch() {
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    try {
      const response = await fetch(`/v1/users/${encodeURIComponent(this.#viewer)}`, { headers: { Accept: 'application/json' }, signal: request.signal });
      if (response.ok) this.#show(await response.json());
    } catch (failure) {
      if (failure.name !== 'AbortError') byId('counts').textContent = 'The profile could not be fetched.';
    }
  }

  #show(profile) {
    const before = this.#before;
    this.#before = profile;
    renderBars(byId('interests-short'), before?.interests?.short, profile.interests?.short ?? []);
    renderBars(byId('interests-long'), before?.interests?.long, profile.interests?.long ?? []);
    renderLabels(profile.labels ?? []);
    renderCounts(profile.counts ?? {});
    this.#onProfile(profile);
  }
}

/** Rows of the strongest tags, each with its weight before and now; `before` is undefined for the first profile. */
export function compareWeights(before, after) {
  const old = new Map((before ?? after).map(({ tag, weight }) => [tag, weight]));
  const now = new Map(after.map(({ tag, weight }) => [tag, weight]));
  const tags = new Set([...now.keys(), ...old.keys()]);
  const rows = Array.from(tags, (tag) => ({ tag, was: old.get(tag) ?? 0, is: now.get(tag) ?? 0 }));
  const largest = Math.max(...rows.map(({ was, is }) => Math.max(Math.abs(was), Math.abs(is))), Number.MIN_VALUE);
  const withMoves = rows.map((row) => ({ ...row, largest, moved: Math.abs(row.is - row.was) > MOVED_SHARE_MIN * largest }));
  const strength = ({ is, was, moved }) => Math.max(Math.abs(is), moved ? Math.abs(was) : 0);
  return withMoves.sort((left, right) => strength(right) - strength(left)).slice(0, TAGS_SHOWN_MAX).sort((left, right) => right.is - left.is);
}

function renderBars(list, before, after) {
  const rows = compareWeights(before, after);
  if (rows.length === 0) {
    list.replaceChildren(el('li', { class: 'nothing', text: 'Nothing learned yet.' }));
    return;
  }
  list.replaceChildren(...rows.map(barRow));
}

function barRow({ tag, was, is, largest, moved }) {
  const change = is - was;
  const direction = moved ? (change > 0 ? 'up' : 'down') : 'same';
  const bar = el('span', { class: 'bar-line', 'aria-hidden': 'true' }, el('span', { class: 'bar-was' }), el('span', { class: 'bar-is' }));
  bar.style.setProperty('--was', String(Math.abs(was) / largest));
  bar.style.setProperty('--is', String(Math.abs(is) / largest));
  const figures = el('span', { class: 'bar-figure' }, is.toFixed(2));
  if (moved) figures.prepend(el('b', { text: `${change > 0 ? '+' : '−'}${Math.abs(change).toFixed(2)}` }));
  return el('li', { class: is < 0 ? 'negative' : '', data: { tag, direction } }, tagName(tag), figures, bar);
}

/** A tag may carry its kind in front, as in `category:music`. */
function tagName(tag) {
  const [, kind, name] = /^(category|author):(.+)$/s.exec(tag) ?? [null, null, tag];
  return el('span', { class: 'bar-name', title: tag }, words(name), kind ? el('small', { text: ` ${kind}` }) : null);
}

function renderLabels(labels) {
  const names = labels.map((label) => (typeof label === 'string' ? label : (label?.label ?? label?.name ?? label?.tag))).filter(Boolean);
  byId('labels').hidden = names.length === 0;
  byId('labels').replaceChildren(...names.map((name) => el('span', { class: 'chip', text: words(name) })));
}

function renderCounts(counts) {
  const parts = Object.entries(counts).filter(([, count]) => Number.isFinite(count) && count > 0);
  byId('counts').replaceChildren(...parts.map(([name, count]) => el('span', {}, el('b', { text: String(count) }), ` ${words(name)}`)));
}
