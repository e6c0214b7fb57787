// Who is watching: the viewer's id in this browser, and event ids. Owns the browser's storage; knows nothing of the network.

const VIEWER_KEY = 'swipeline.viewer';
const OUTBOX_KEY_PREFIX = 'swipeline.outbox.';

/** A random version 4 UUID. `crypto.randomUUID` is missing on plain http except on localhost, hence the second way. */
export function uuid() {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The viewer of this browser; made on the first visit and kept. */
export function currentViewer() {
  return read(localStorage, VIEWER_KEY) ?? newViewer();
}

/** Forgets the viewer of this browser and makes a fresh one. */
export function newViewer() {
  const viewer = `viewer-${uuid().slice(0, 8)}`;
  write(localStorage, VIEWER_KEY, viewer);
  return viewer;
}

/** Events of this tab that the server has not acknowledged: they survive a reload of the page. */
export function loadOutbox(viewer) {
  const text = read(sessionStorage, OUTBOX_KEY_PREFIX + viewer);
  if (!text) return [];
  try {
    const events = JSON.parse(text);
    return Array.isArray(events) ? events.filter((event) => event?.event_id && event?.item_id) : [];
  } catch {
    return [];
  }
}

export function saveOutbox(viewer, events) {
  if (events.length === 0) remove(sessionStorage, OUTBOX_KEY_PREFIX + viewer);
  else write(sessionStorage, OUTBOX_KEY_PREFIX + viewer, JSON.stringify(events));
}

// Storage may be full or forbidden; the page then works without a memory.
function read(storage, key) {
  try {
    return storage.getItem(key);
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    storage.setItem(key, value);
  } catch {
    // nothing to do: see above
  }
}

function remove(storage, key) {
  try {
    storage.removeItem(key);
  } catch {
    // nothing to do: see above
  }
}
