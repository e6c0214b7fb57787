// The composition of the swipe page: viewer, stream, queue, card, controls, panel. Owns the order in which things happen to a
// swipe; drawing and talking are in the other modules.

import { categoryColour } from './artwork.js';
import { Card } from './card.js';
import { Catalogue } from './catalogue.js';
import { connectControls } from './controls.js';
import { byId, milliseconds } from './dom.js';
import { FeedQueue } from './feed.js';
import { Interests } from './interests.js';
import { logSwipe, showChange, showMix, showQueue } from './panel.js';
import { LOW_WATER_ITEMS, Stream } from './socket.js';
import { currentViewer, newViewer } from './viewer.js';

/** How long the next card waits for the fresh feed of a swipe; a slower answer changes the cards after it. */
const ANSWER_WAIT_MS_MAX = 800;
/** The server adds items by itself below the low water mark; the page asks when that did not happen. */
const ASK_BELOW_ITEMS = Math.ceil(LOW_WATER_ITEMS / 2);
const REQUEST_AGAIN_MS = 1_000;
const REQUEST_WAIT_MS_MAX = 5_000;
const TOAST_MS = 2_600;
const TITLES_MAX = 300;

/** Actions that leave the card, with the event they send and the word for the live region. */
const LEAVING = new Map([
  ['like', { type: 'like', done: 'Liked', answered: true }],
  ['skip', { type: 'skip', done: 'Skipped', answered: true }],
  ['dislike', { type: 'dislike', done: 'Not for you', answered: true }],
  ['next', { type: 'view', done: 'Went past', answered: false }],
]);
const STAYING = new Map([
  ['favorite', 'Added to your favourites'],
  ['share', 'Shared'],
  ['follow', 'Following the author'],
]);

class Page {
  #viewer = currentViewer();
  #stream = new Stream(this.#viewer);
  #queue = new FeedQueue();
  #catalogue = new Catalogue();
  #card = new Card();
  #interests = new Interests(this.#viewer, (profile) => this.#takeProfile(profile));
  #followed = new Set();
  #leaving = false;
  #exhausted = false;
  #request = null;
  #requestTimer = 0;
  #toastTimer = 0;
  /** event_id → what to do when its feed comes. */
  #waiting = new Map();
  /** item_id → title, of what was displayed lately: a cause names items only by id. */
  #titles = new Map();
  #swiped = false;
  /** Why the server does not want this page at all; null while it does. */
  #refusal = null;

  start() {
    byId('viewer-id').textContent = this.#viewer;
    byId('new-viewer').addEventListener('click', () => this.#changeViewer());
    byId('empty-action').addEventListener('click', () => this.#tryAgain());
    this.#card.addEventListener('complete', () => this.#completed());
    connectControls(this.#card, (action) => this.#act(action));
    const handlers = {
      state: (detail) => this.#showState(detail),
      welcome: (detail) => this.#welcomed(detail),
      feed: (detail) => this.#takeFeed(detail),
      acknowledged: ({ eventId }) => this.#settleLog(eventId, 'saved'),
      rejected: ({ event, reason }) => this.#rejected(event, reason),
      params: () => this.#toast('The parameters of the recommender changed.'),
      notice: (detail) => this.#noticed(detail),
    };
    for (const [name, handle] of Object.entries(handlers)) this.#stream.addEventListener(name, ({ detail }) => handle(detail));
    this.#stream.connect();
  }

  // --- what the viewer does -----------------------------------------------------------------------------------------------

  #act(action) {
    if (!this.#card.entry || this.#leaving) return;
    if (action === 'pause') this.#toast(this.#card.togglePause() ? 'Paused' : 'Playing');
    else if (STAYING.has(action)) this.#stay(action);
    else this.#swipe(action);
  }

  #stay(action) {
    const { entry } = this.#card;
    if (action === 'follow') {
      const author = entry.item?.author_id;
      if (!author || this.#followed.has(author)) return;
      this.#followed.add(author);
    } else if (byId(`act-${action}`).getAttribute('aria-pressed') === 'true') {
      return;
    }
    this.#card.setPressed(action, true);
    this.#report(action, action);
    this.#toast(STAYING.get(action));
  }

  async #swipe(action) {
    this.#leaving = true;
    const { type, done, answered } = LEAVING.get(action);
    const title = this.#titleOf(this.#card.entry.itemId);
    // Watched to the end was said already when it happened.
    const eventId = type === 'view' && this.#card.completed ? null : this.#report(type, action);
    const answer = answered && eventId && this.#stream.state === 'connected' ? this.#answerTo(eventId) : null;
    await Promise.all([this.#card.leave(action), answer]);
    this.#leaving = false;
    this.#displayNext();
    const now = this.#card.entry ? `Now: ${this.#titleOf(this.#card.entry.itemId)}.` : '';
    byId('live').textContent = `${done}: ${title}. ${now}`;
  }

  #completed() {
    this.#report('complete', 'complete');
  }

  /** Sends an event about the current card and logs it. */
  #report(type, action) {
    const { entry } = this.#card;
    const eventId = this.#stream.sendEvent({
      type,
      item_id: entry.itemId,
      watch_ms: this.#card.watchedMs,
      position: entry.position,
      request_id: entry.requestId,
    });
    this.#swiped = true;
    const log = logSwipe(action, this.#titleOf(entry.itemId), categoryColour(entry.item?.categories?.[0] ?? 'other'));
    if (this.#stream.state !== 'connected') log('waits for the connection');
    this.#waiting.set(eventId, { log, resolve: null });
    if (this.#waiting.size > TITLES_MAX) this.#waiting.delete(this.#waiting.keys().next().value);
    return eventId;
  }

  #answerTo(eventId) {
    return new Promise((resolve) => {
      this.#waiting.get(eventId).resolve = resolve;
      setTimeout(resolve, ANSWER_WAIT_MS_MAX);
    });
  }

  // --- cards --------------------------------------------------------------------------------------------------------------

  async #displayNext() {
    const entry = this.#queue.next();
    if (!entry) {
      this.#card.clear();
      this.#showEmpty();
      this.#askForMore();
      return;
    }
    byId('empty').hidden = true;
    this.#markSeen(entry);
    if (!entry.item) entry.item = { id: entry.itemId, title: entry.itemId, categories: [], tags: [] };
    this.#rememberTitle(entry.itemId, entry.item.title);
    this.#card.show(entry, entry.item, this.#followed.has(entry.item.author_id));
    showQueue(this.#queue.upcoming);
    this.#askForMore();
  }

  /** A feed of an earlier numbering cannot be named in `seen`; an impression event says the same and is kept until saved. */
  #markSeen(entry) {
    if (entry.epoch === this.#stream.epoch && this.#stream.seen(entry.seq, entry.position)) return;
    if (entry.impressionSent) return;
    entry.impressionSent = true;
    this.#stream.sendEvent({ type: 'impression', item_id: entry.itemId, position: entry.position, request_id: entry.requestId });
  }

  #askForMore() {
    if (this.#request || this.#exhausted || this.#queue.length >= ASK_BELOW_ITEMS) return;
    this.#request = this.#stream.requestFeed(this.#queue.upcoming.map((entry) => entry.itemId));
    if (this.#request) this.#askAgainIn(REQUEST_WAIT_MS_MAX);
  }

  #askAgainIn(delayMs) {
    clearTimeout(this.#requestTimer);
    this.#requestTimer = setTimeout(() => {
      this.#request = null;
      this.#askForMore();
    }, delayMs);
  }

  // --- what the server says -----------------------------------------------------------------------------------------------

  #welcomed({ resumed }) {
    this.#request = null;
    if (this.#card.entry) this.#markSeen(this.#card.entry);
    if (!resumed) this.#interests.refresh();
  }

  async #takeFeed({ message, receivedAt }) {
    const change = this.#queue.apply(message, this.#stream.epoch);
    const cause = message.cause ?? { kind: 'unknown' };
    this.#exhausted = message.degraded === 'exhausted';
    this.#settleRequest(message, cause, change.added);
    const isSwipe = cause.kind !== 'request' && cause.kind !== 'hello';
    if (isSwipe || !this.#swiped) this.#showWhatChanged({ ...message, cause }, change, receivedAt);
    await Promise.all(this.#queue.upcoming.filter((entry) => !entry.item).map((entry) => this.#catalogue.complete(entry)));
    this.#waiting.get(cause.event_id)?.resolve?.();
    if (this.#card.entry || this.#leaving) showQueue(this.#queue.upcoming);
    else this.#displayNext();
    this.#askForMore();
    if (cause.kind !== 'request') this.#interests.refresh();
  }

  #settleRequest(message, cause, added) {
    const isAnswer = this.#request !== null && (message.id === this.#request || cause.kind === 'request');
    if (!isAnswer) return;
    if (added === 0 && !this.#exhausted) return this.#askAgainIn(REQUEST_AGAIN_MS);
    clearTimeout(this.#requestTimer);
    this.#request = null;
    return undefined;
  }

  #showWhatChanged(message, change, receivedAt) {
    const { event_id: eventId, item_id: itemId } = message.cause;
    const sentAt = eventId ? this.#stream.sentAt(eventId) : null;
    const roundTripMs = sentAt === null ? null : receivedAt - sentAt;
    showChange({ message, change, title: this.#titles.get(itemId), roundTripMs });
    if (message.mode !== 'append' || change.sharesBefore.size === 0) showMix(change.sharesBefore, change.sharesAfter);
    if (roundTripMs !== null) this.#settleLog(eventId, `feed in ${milliseconds(roundTripMs)}`);
  }

  /** The first outcome of a swipe stays, except that a feed says more than an acknowledgement. */
  #settleLog(eventId, outcome) {
    const waiting = this.#waiting.get(eventId);
    if (!waiting || (waiting.outcome && outcome === 'saved')) return;
    waiting.outcome = outcome;
    waiting.log(outcome);
  }

  #rejected(event, reason) {
    this.#waiting.get(event.event_id)?.log(`refused: ${reason}`);
    this.#toast(`The server refused a swipe: ${reason}`);
  }

  #noticed({ text, requestId, retryAfterMs }) {
    this.#toast(text);
    if (requestId && requestId === this.#request) this.#askAgainIn(retryAfterMs ?? REQUEST_AGAIN_MS);
  }

  #takeProfile(profile) {
    for (const author of profile.follows ?? []) this.#followed.add(author);
    const author = this.#card.entry?.item?.author_id;
    if (author && !this.#leaving) this.#card.setPressed('follow', this.#followed.has(author));
  }

  // --- small things -------------------------------------------------------------------------------------------------------

  #showState({ state, final, reason }) {
    const status = byId('status');
    status.dataset.state = state;
    const texts = { connected: 'Live', connecting: 'Connecting', offline: final ? 'Refused' : 'Offline, trying again' };
    byId('status-text').textContent = texts[state];
    status.title = reason ?? '';
    this.#refusal = final ? reason : null;
    if (!this.#card.entry && !this.#leaving) this.#showEmpty();
  }

  #showEmpty() {
    const offline = this.#stream.state === 'offline';
    const [title, text, action] = this.#refusal
      ? ['The server refused the connection', this.#refusal, 'Try again']
      : offline
        ? ['No connection', 'The page tries again by itself; your swipes are kept.', null]
        : this.#exhausted
          ? ['You have seen everything', 'Nothing is left that you were not shown before.', 'Look again']
          : ['Finding your next videos', 'One moment.', null];
    byId('empty-title').textContent = title;
    byId('empty-text').textContent = text;
    byId('empty-action').hidden = !action;
    byId('empty-action').textContent = action ?? '';
    byId('empty').hidden = false;
    showQueue(this.#queue.upcoming);
  }

  #tryAgain() {
    this.#exhausted = false;
    this.#request = null;
    if (this.#stream.state === 'offline') this.#stream.connect();
    else this.#askForMore();
    this.#showEmpty();
  }

  #changeViewer() {
    this.#stream.finish();
    this.#interests.stop();
    newViewer();
    location.reload();
  }

  #titleOf(itemId) {
    return this.#titles.get(itemId) ?? itemId;
  }

  #rememberTitle(itemId, title) {
    this.#titles.set(itemId, title || itemId);
    if (this.#titles.size > TITLES_MAX) this.#titles.delete(this.#titles.keys().next().value);
  }

  #toast(text) {
    const toast = byId('toast');
    toast.textContent = text;
    toast.hidden = false;
    clearTimeout(this.#toastTimer);
    this.#toastTimer = setTimeout(() => {
      toast.hidden = true;
    }, TOAST_MS);
  }
}

new Page().start();
