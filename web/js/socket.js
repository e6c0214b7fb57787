// The stream to the server: connects, says hello, resumes, keeps events until they are acknowledged. Owns the WebSocket and
// the outbox; knows nothing of cards or panels, which listen to its events: state, welcome, feed,
// acknowledged, rejected, params, notice.

import { loadOutbox, saveOutbox, uuid } from './viewer.js';

const SUBPROTOCOL = 'swipeline.v1.json';
const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 10_000;
const PING_MS_DEFAULT = 20_000;
const SILENCE_IN_PINGS_MAX = 2.5;
const RETRY_AFTER_MS_DEFAULT = 1_000;
const OUTBOX_EVENTS_MAX = 200;
const CLOSE_FINAL_FIRST = 4500;
const CLOSE_FINAL_LAST = 4999;
const CLOSE_SILENT = 4000;

/** How many items a feed has, and below how many unseen ones the server shall add more. */
export const FEED_ITEMS = 12;
export const LOW_WATER_ITEMS = 4;

export class Stream extends EventTarget {
  #viewer;
  #socket = null;
  #state = 'offline';
  #attempt = 0;
  #retryTimer = 0;
  #pingTimer = 0;
  #heardAt = 0;
  #clockOffsetMs = 0;
  #session = null;
  #highestSeq = 0;
  #finished = false;
  /** event_id → { event, sentAt }; insertion order is the order of the swipes. */
  #outbox = new Map();
  /** Send times of events that were acknowledged before their feed came; small, because feeds come first as a rule. */
  #answered = new Map();

  constructor(viewer) {
    super();
    this.#viewer = viewer;
    for (const event of loadOutbox(viewer)) this.#outbox.set(event.event_id, { event, sentAt: null });
    window.addEventListener('online', this.#onOnline);
  }

  get state() {
    return this.#state;
  }

  /** Changes whenever the server's numbering of feeds starts anew; `null` before the first welcome. */
  get epoch() {
    return this.#session ? `${this.#session.session}/${this.#session.epoch}` : null;
  }

  get unacknowledged() {
    return this.#outbox.size;
  }

  connect() {
    clearTimeout(this.#retryTimer);
    this.#finished = false;
    this.#setState('connecting');
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const url = `${scheme}//${location.host}/v1/stream?user_id=${encodeURIComponent(this.#viewer)}`;
    const socket = new WebSocket(url, [SUBPROTOCOL]);
    this.#socket = socket;
    socket.addEventListener('open', () => this.#hello());
    socket.addEventListener('message', (frame) => {
      if (socket === this.#socket) this.#receive(frame.data);
    });
    socket.addEventListener('close', (closed) => {
      if (socket === this.#socket) this.#closed(closed);
    });
  }

  /** Ends for good (another viewer takes over); unacknowledged events stay in the tab's storage. */
  finish() {
    this.#finished = true;
    clearTimeout(this.#retryTimer);
    clearInterval(this.#pingTimer);
    window.removeEventListener('online', this.#onOnline);
    this.#send({ type: 'bye' });
    this.#socket?.close(1000);
    this.#socket = null;
  }

  /** Sends an event, now or after the next welcome, and keeps it until it is acknowledged. Returns its event_id. */
  sendEvent(event) {
    const complete = { event_id: uuid(), at: Math.round(Date.now() + this.#clockOffsetMs), ...event };
    if (this.#outbox.size >= OUTBOX_EVENTS_MAX) this.#dropLeastImportant();
    const entry = { event: complete, sentAt: null };
    this.#outbox.set(complete.event_id, entry);
    this.#persist();
    if (this.#state === 'connected') this.#transmit(entry);
    return complete.event_id;
  }

  /** Says that a feed was shown up to a position. False when it could not be said on this connection. */
  seen(seq, position) {
    return this.#state === 'connected' && this.#send({ type: 'seen', seq, upto: position });
  }

  requestFeed(excludedItemIds) {
    const id = uuid();
    const request = { type: 'feed', id, n: FEED_ITEMS };
    if (excludedItemIds.length > 0) request.exclude = excludedItemIds;
    return this.#state === 'connected' && this.#send(request) ? id : null;
  }

  /** When (page clock, ms) an event went out; null when it is not waiting for anything. */
  sentAt(eventId) {
    return this.#outbox.get(eventId)?.sentAt ?? this.#answered.get(eventId) ?? null;
  }

  #onOnline = () => {
    if (this.#state === 'offline' && !this.#finished && navigator.onLine) this.connect();
  };

  #hello() {
    const hello = { type: 'hello', id: uuid(), n: FEED_ITEMS, low_water: LOW_WATER_ITEMS, device: 'web' };
    if (this.#session) hello.resume = { ...this.#session, seq: this.#highestSeq };
    this.#send(hello);
  }

  #receive(text) {
    this.#heardAt = performance.now();
    let messages;
    try {
      messages = [].concat(JSON.parse(text));
    } catch {
      this.#emit('notice', { text: 'The server sent a frame that is not JSON.' });
      return;
    }
    for (const message of messages) this.#handle(message);
  }

  #handle(message) {
    switch (message?.type) {
      case 'welcome':
        return this.#welcome(message);
      case 'feed':
        this.#highestSeq = Math.max(this.#highestSeq, message.seq ?? 0);
        return this.#emit('feed', { message, receivedAt: this.#heardAt });
      case 'ack':
        return this.#acknowledged(message);
      case 'error':
        return this.#failed(message);
      case 'params':
        return this.#emit('params', { message });
      case 'drain':
        return this.#emit('notice', { text: 'The server is about to restart; the page will reconnect by itself.' });
      case 'ping':
        return this.#send({ type: 'pong' });
      default:
        return undefined;
    }
  }

  #welcome(message) {
    const session = { session: message.session, epoch: message.epoch };
    const resumed = this.#session?.session === session.session && this.#session?.epoch === session.epoch;
    this.#session = session;
    if (!resumed) this.#highestSeq = message.seq ?? 0;
    if (Number.isFinite(message.server_time)) this.#clockOffsetMs = message.server_time - Date.now();
    this.#attempt = 0;
    this.#startPings(message.ping_ms ?? PING_MS_DEFAULT);
    this.#setState('connected');
    this.#emit('welcome', { message, resumed });
    for (const entry of this.#outbox.values()) this.#transmit(entry);
  }

  #transmit(entry) {
    entry.sentAt = performance.now();
    this.#send({ type: 'event', id: entry.event.event_id, events: [entry.event] });
  }

  #acknowledged(message) {
    const rejections = Array.isArray(message.rejected) ? message.rejected : [];
    const entry = this.#outbox.get(message.id);
    if (!entry) return;
    this.#forget(message.id);
    if (rejections.length === 0) this.#emit('acknowledged', { eventId: message.id });
    for (const rejection of rejections) this.#emit('rejected', { event: entry.event, reason: rejection.detail ?? rejection.code });
  }

  #failed(message) {
    const entry = this.#outbox.get(message.id);
    if (entry && message.retryable) {
      const again = () => {
        if (this.#state === 'connected' && this.#outbox.has(message.id)) this.#transmit(entry);
      };
      setTimeout(again, message.retry_after_ms ?? RETRY_AFTER_MS_DEFAULT);
      return;
    }
    if (entry) {
      this.#forget(message.id);
      this.#emit('rejected', { event: entry.event, reason: message.message ?? message.code });
      return;
    }
    const text = message.message ?? message.code ?? 'The server reported an error.';
    this.#emit('notice', { text, requestId: message.id, retryAfterMs: message.retry_after_ms });
  }

  #forget(eventId) {
    const { sentAt } = this.#outbox.get(eventId);
    this.#outbox.delete(eventId);
    this.#answered.set(eventId, sentAt);
    if (this.#answered.size > OUTBOX_EVENTS_MAX) this.#answered.delete(this.#answered.keys().next().value);
    this.#persist();
  }

  /** The outbox is bounded: passive signals go first, then the oldest. */
  #dropLeastImportant() {
    const passive = [...this.#outbox.values()].find(({ event }) => event.type === 'impression' || event.type === 'view');
    const victim = passive?.event.event_id ?? this.#outbox.keys().next().value;
    const { event } = this.#outbox.get(victim);
    this.#outbox.delete(victim);
    this.#emit('rejected', { event, reason: 'offline for too long' });
  }

  #persist() {
    saveOutbox(this.#viewer, Array.from(this.#outbox.values(), ({ event }) => event));
  }

  #startPings(pingMs) {
    clearInterval(this.#pingTimer);
    this.#pingTimer = setInterval(() => {
      if (performance.now() - this.#heardAt > pingMs * SILENCE_IN_PINGS_MAX) this.#socket?.close(CLOSE_SILENT, 'silence');
      else this.#send({ type: 'ping' });
    }, pingMs);
  }

  #closed({ code, reason }) {
    clearInterval(this.#pingTimer);
    this.#socket = null;
    if (this.#finished) return;
    if (code >= CLOSE_FINAL_FIRST && code <= CLOSE_FINAL_LAST) {
      this.#setState('offline', { final: true, reason: reason || `closed with code ${code}` });
      return;
    }
    const ceilingMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#attempt);
    const delayMs = ceilingMs / 2 + (Math.random() * ceilingMs) / 2;
    this.#attempt += 1;
    this.#setState('offline', { final: false, delayMs, reason });
    this.#retryTimer = setTimeout(() => this.connect(), delayMs);
  }

  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #setState(state, detail = {}) {
    this.#state = state;
    this.#emit('state', { state, ...detail });
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
