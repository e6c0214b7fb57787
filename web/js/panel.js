// The panel beside the phone: what the last swipe changed, the coming queue, the mix of categories, the log. Owns that DOM;
// is told what happened and never asks.

import { categoryColour, paintStill } from './artwork.js';
import { byId, el, icon, milliseconds, words } from './dom.js';

const LOG_ENTRIES_MAX = 10;
const QUEUE_ROWS_MAX = 10;
const MIX_ROWS_MAX = 8;
const THUMBNAIL = { width: 40, height: 56 };

const DEEDS = {
  like: 'liked',
  skip: 'skipped',
  dislike: 'said “not for me” to',
  favorite: 'made a favourite of',
  share: 'shared',
  follow: 'followed the author of',
  complete: 'watched to the end',
  view: 'watched',
  unlike: 'took back the like of',
  comment: 'commented on',
  report: 'reported',
  impression: 'saw',
};

/** A cause in words; `title` is the item's, when the page knows it. */
export function describeCause(cause, title) {
  const deed = DEEDS[cause.kind];
  if (deed) return { lead: `You ${deed}`, title: title ?? cause.item_id ?? 'an item' };
  if (cause.kind === 'hello') return { lead: 'You arrived: this is the first feed', title: null };
  if (cause.kind === 'request') return { lead: 'More items were asked for', title: null };
  if (cause.kind === 'model') return { lead: 'The model changed: the feed was ranked anew', title: null };
  return { lead: `New feed: ${words(cause.kind)}`, title: null };
}

/** Shows the cause and the figures of a feed. */
export function showChange({ message, change, title, roundTripMs }) {
  const { lead, title: named } = describeCause(message.cause, title);
  byId('change').dataset.cause = message.cause.kind;
  byId('change').dataset.itemId = message.cause.item_id ?? '';
  byId('change-text').replaceChildren(lead, ...(named ? [' ', el('strong', { text: named })] : []), '.');
  byId('figure-round-trip').textContent = roundTripMs === null ? '–' : milliseconds(roundTripMs);
  byId('figure-server').textContent = Number.isFinite(message.took_us) ? milliseconds(message.took_us / 1000) : '–';
  byId('figure-items').textContent = String(message.items?.length ?? 0);
  const replaced = message.mode === 'append' ? 'added at the end' : `${change.dropped} unseen replaced`;
  byId('figure-items-note').textContent = message.degraded ? `degraded: ${words(message.degraded)}` : replaced;
}

/** Thumbnails by item, so that a new queue repaints only what is new. */
const thumbnails = new Map();

function thumbnail(item) {
  let canvas = thumbnails.get(item.id);
  if (!canvas) {
    canvas = el('canvas', { class: 'thumb', 'aria-hidden': 'true', ...THUMBNAIL });
    paintStill(canvas, item);
    thumbnails.set(item.id, canvas);
  }
  return canvas;
}

/** Draws the coming items, `entries` with their `item` filled in. */
export function showQueue(entries) {
  const rows = entries.slice(0, QUEUE_ROWS_MAX);
  const list = byId('queue');
  const shown = new Set(Array.from(list.children, (row) => row.dataset.itemId));
  byId('queue-note').textContent = entries.length > rows.length ? `${entries.length} in the queue` : '';
  list.replaceChildren(...rows.map((entry) => queueRow(entry, shown.size > 0 && !shown.has(entry.itemId))));
  if (rows.length === 0) list.replaceChildren(el('li', { class: 'nothing', text: 'The queue is empty.' }));
  const kept = new Set(rows.map((entry) => entry.itemId));
  for (const itemId of thumbnails.keys()) if (!kept.has(itemId)) thumbnails.delete(itemId);
}

function queueRow(entry, fresh) {
  const item = entry.item ?? { id: entry.itemId, title: entry.itemId, categories: [] };
  const category = item.categories?.[0] ?? 'other';
  const dot = el('span', { class: 'dot', 'aria-hidden': 'true' });
  dot.style.setProperty('--colour', categoryColour(category));
  const chips = entry.channels.filter((channel) => !(entry.explore && channel === 'explore')).map((channel) => el('span', { class: 'chip', text: words(channel) }));
  if (entry.explore) {
    const share = Number.isFinite(entry.propensity) ? ` (propensity ${entry.propensity.toPrecision(2)})` : '';
    chips.unshift(el('span', { class: 'chip chip-explore', title: `Shown to learn more${share}` }, icon('explore'), 'explore'));
  }
  return el(
    'li',
    { class: fresh ? 'fresh' : '', data: { testid: 'queue-row', itemId: entry.itemId, category, explore: String(entry.explore) } },
    thumbnail(item),
    el('div', { class: 'queue-text' }, el('p', { class: 'queue-title', text: item.title || item.id, title: item.title || item.id }), el('p', { class: 'queue-why' }, dot, `${words(category)}${entry.reason ? ` · ${entry.reason}` : ''}`), el('p', { class: 'chips' }, ...chips)),
    el('span', { class: 'score', title: 'Score', text: Number.isFinite(entry.score) ? entry.score.toFixed(3) : '–' }),
  );
}

/** Draws the share of every category before and now. */
export function showMix(before, after) {
  const categories = new Set([...after.keys(), ...before.keys()]);
  const rows = Array.from(categories, (category) => ({ category, was: before.get(category) ?? 0, is: after.get(category) ?? 0 }));
  rows.sort((left, right) => Math.max(right.is, right.was) - Math.max(left.is, left.was) || left.category.localeCompare(right.category));
  byId('mix').replaceChildren(...rows.slice(0, MIX_ROWS_MAX).map((row) => mixRow(row, before.size > 0)));
}

function mixRow({ category, was, is }, comparable) {
  const points = Math.round((is - was) * 100);
  const direction = !comparable || points === 0 ? 'same' : points > 0 ? 'up' : 'down';
  const line = el('span', { class: 'mix-line', 'aria-hidden': 'true' }, el('span', { class: 'mix-was' }), el('span', { class: 'mix-is' }));
  line.style.setProperty('--was', String(was));
  line.style.setProperty('--is', String(is));
  line.style.setProperty('--colour', categoryColour(category));
  const change = direction === 'same' ? '' : `${points > 0 ? '+' : '−'}${Math.abs(points)}`;
  return el(
    'li',
    { data: { category, direction, share: is.toFixed(4) } },
    el('span', { class: 'mix-name', text: words(category) }),
    line,
    el('span', { class: 'mix-figure' }, `${Math.round(is * 100)} %`),
    el('b', { class: 'mix-change', text: change }),
  );
}

/** Adds a swipe to the log; the returned function fills in what came of it. */
export function logSwipe(action, title, colour) {
  const outcome = el('span', { class: 'log-outcome', text: '…' });
  const dot = el('span', { class: 'dot', 'aria-hidden': 'true' });
  dot.style.setProperty('--colour', colour);
  const row = el('li', { data: { testid: 'log-row', action } }, el('span', { class: `log-action log-${action}`, text: words(action) }), dot, el('span', { class: 'log-title', text: title, title }), outcome);
  const list = byId('log');
  list.querySelector('.nothing')?.remove();
  list.prepend(row);
  while (list.children.length > LOG_ENTRIES_MAX) list.lastElementChild.remove();
  return (text) => {
    outcome.textContent = text;
  };
}
