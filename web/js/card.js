// The card on the phone: shows one entry, plays its simulated video, measures how long it was watched. Owns the card's DOM and
// the playback clock; does not decide what comes next.

import { ArtworkPlayer, categoryColour, hash } from './artwork.js';
import { byId, clock, el, words } from './dom.js';

const DURATION_MS_DEFAULT = 15_000;
const TAGS_MAX = 4;
const TICK_MS = 100;
const LEAVE_MS = 260;
const BURST_MS = 420;

export class Card extends EventTarget {
  #root = byId('card');
  #progress = byId('progress');
  #fill = byId('progress-fill');
  #art = new ArtworkPlayer(byId('art'));
  #stillness = window.matchMedia('(prefers-reduced-motion: reduce)');
  #entry = null;
  #durationMs = DURATION_MS_DEFAULT;
  #watchedMs = 0;
  #tickedAt = 0;
  #paused = false;
  #completed = false;

  constructor() {
    super();
    setInterval(() => this.#tick(), TICK_MS);
    document.addEventListener('visibilitychange', () => this.#followVisibility());
  }

  get entry() {
    return this.#entry;
  }

  get element() {
    return this.#root;
  }

  /** Time this card was on the screen and playing. */
  get watchedMs() {
    this.#tick();
    return Math.round(this.#watchedMs);
  }

  get completed() {
    return this.#completed;
  }

  show(entry, item, followed) {
    this.#entry = entry;
    this.#watchedMs = 0;
    this.#completed = false;
    this.#paused = false;
    this.#tickedAt = performance.now();
    this.#fillIn(entry, item, followed);
    this.#root.hidden = false;
    this.settle();
    this.#art.show(item);
    this.#followVisibility();
    if (!this.#stillness.matches) {
      this.#root.animate([{ opacity: 0, transform: 'scale(0.96)' }, { opacity: 1, transform: 'none' }], { duration: 180, easing: 'ease-out' });
    }
  }

  /** Nothing to show. */
  clear() {
    this.#entry = null;
    this.#root.hidden = true;
    delete this.#root.dataset.itemId;
    this.#art.playing = false;
  }

  setPressed(action, pressed) {
    byId(`act-${action}`).setAttribute('aria-pressed', String(pressed));
    if (action === 'follow') byId('follow-label').textContent = pressed ? 'Following the author' : 'Follow the author';
  }

  togglePause() {
    this.#tick();
    this.#paused = !this.#paused;
    this.#root.classList.toggle('paused', this.#paused);
    this.#followVisibility();
    return this.#paused;
  }

  /** Follows the finger or the mouse. */
  drag(dx, dy, intent) {
    this.#root.style.setProperty('--dx', `${dx}px`);
    this.#root.style.setProperty('--dy', `${Math.min(0, dy)}px`);
    this.#root.style.setProperty('--turn', `${dx / 26}deg`);
    this.#root.dataset.intent = intent ?? '';
    this.#root.classList.add('dragged');
  }

  /** Back to its place. */
  settle() {
    for (const name of ['--dx', '--dy', '--turn']) this.#root.style.removeProperty(name);
    this.#root.dataset.intent = '';
    this.#root.classList.remove('dragged', 'paused');
  }

  /** Flies off in the direction of the action; resolves when it is gone. */
  async leave(action) {
    this.#art.playing = false;
    if (this.#stillness.matches) return;
    const away = { like: 'translate(120%, -4%) rotate(14deg)', skip: 'translate(-120%, -4%) rotate(-14deg)', dislike: 'translate(-120%, 8%) rotate(-18deg)', next: 'translate(0, -110%)' }[action];
    if (action === 'like') this.#burst();
    const flight = this.#root.animate([{}, { transform: away, opacity: 0.2 }], { duration: LEAVE_MS, easing: 'cubic-bezier(0.4, 0, 0.8, 0.4)', fill: 'forwards' });
    await flight.finished;
    this.#root.hidden = true;
    flight.cancel();
  }

  #burst() {
    const burst = byId('burst');
    burst.animate([{ opacity: 0, transform: 'scale(0.4)' }, { opacity: 1, transform: 'scale(1.1)', offset: 0.4 }, { opacity: 0, transform: 'scale(1.5)' }], { duration: BURST_MS, easing: 'ease-out' });
  }

  #fillIn(entry, item, followed) {
    this.#root.dataset.itemId = entry.itemId;
    const category = item.categories?.[0] ?? 'other';
    byId('card-category').textContent = words(category);
    byId('card-category').style.setProperty('--colour', categoryColour(category));
    byId('card-title').textContent = item.title || item.id;
    byId('card-author').textContent = item.author_id ? `@${item.author_id}` : '';
    byId('card-tags').replaceChildren(...(item.tags ?? []).slice(0, TAGS_MAX).map((tag) => el('span', { text: `#${tag}` })));
    byId('card-why').textContent = entry.reason;
    byId('card-explore').hidden = !entry.explore;
    const avatar = byId('card-avatar');
    avatar.textContent = initials(item.author_id ?? '?');
    avatar.style.setProperty('--hue', String(hash(item.author_id ?? '?') % 360));
    byId('act-follow').disabled = !item.author_id;
    this.#durationMs = item.duration_ms > 0 ? item.duration_ms : DURATION_MS_DEFAULT;
    for (const action of ['favorite', 'share']) this.setPressed(action, false);
    this.setPressed('follow', followed);
    this.#drawProgress();
  }

  get #running() {
    return this.#entry !== null && !this.#paused && document.visibilityState === 'visible';
  }

  #followVisibility() {
    this.#tickedAt = performance.now();
    this.#art.playing = this.#running;
  }

  #tick() {
    const now = performance.now();
    if (this.#running) this.#watchedMs += now - this.#tickedAt;
    this.#tickedAt = now;
    if (!this.#entry) return;
    this.#drawProgress();
    if (this.#watchedMs >= this.#durationMs && !this.#completed) {
      this.#completed = true;
      this.dispatchEvent(new CustomEvent('complete'));
    }
  }

  #drawProgress() {
    const playedMs = this.#watchedMs % this.#durationMs;
    const share = playedMs / this.#durationMs;
    this.#fill.style.setProperty('transform', `scaleX(${share.toFixed(4)})`);
    this.#progress.setAttribute('aria-valuenow', String(Math.round(share * 100)));
    const text = `${clock(playedMs)} / ${clock(this.#durationMs)}`;
    if (byId('card-time').textContent !== text) byId('card-time').textContent = text;
  }
}

function initials(author) {
  const parts = author.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  return (parts.length > 1 ? parts[0][0] + parts.at(-1)[0] : author.slice(0, 2)).toUpperCase();
}
