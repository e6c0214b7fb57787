// Keyboard, buttons, mouse and touch: turns them into actions. Owns the listeners; does not know what an action does.

import { byId } from './dom.js';

const DRAG_START_PX = 8;
const SWIPE_SHARE_MIN = 0.24;
const FLING_PX_PER_MS = 0.55;
const FLING_PX_MIN = 36;

const KEYS = new Map([
  ['l', 'like'],
  ['s', 'skip'],
  ['arrowleft', 'skip'],
  ['arrowright', 'next'],
  ['arrowdown', 'next'],
  ['n', 'next'],
  [' ', 'next'],
  ['f', 'favorite'],
  ['h', 'share'],
  ['d', 'dislike'],
  ['a', 'follow'],
  ['p', 'pause'],
]);

/** Calls `act(name)` for every action, whatever it came from. */
export function connectControls(card, act) {
  for (const button of document.querySelectorAll('button[data-act]')) {
    button.addEventListener('click', () => act(button.dataset.act));
  }
  connectKeys(act);
  connectDrag(card, act);
  connectKeyDialog();
}

function connectKeys(act) {
  document.addEventListener('keydown', (press) => {
    if (press.defaultPrevented || press.repeat || press.ctrlKey || press.metaKey || press.altKey) return;
    const target = press.target instanceof Element ? press.target : document.body;
    if (target.closest('input, textarea, select, dialog')) return;
    const key = press.key.toLowerCase();
    if (key === '?') return byId('keys').showModal();
    const action = KEYS.get(key);
    if (!action) return undefined;
    // A focused button keeps its space bar, the panel its arrows: both have a meaning there already.
    if (key === ' ' && target.closest('button, a')) return undefined;
    if (key.startsWith('arrow') && target.closest('#panel')) return undefined;
    press.preventDefault();
    act(action);
    return undefined;
  });
}

function connectKeyDialog() {
  const dialog = byId('keys');
  byId('show-keys').addEventListener('click', () => dialog.showModal());
  byId('close-keys').addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (click) => {
    if (click.target === dialog) dialog.close();
  });
}

/** What a drag would do if it ended now. */
function intentOf(dx, dy, box, speed) {
  const sideways = Math.abs(dx) > Math.abs(dy);
  const distance = sideways ? Math.abs(dx) / box.width : -dy / box.height;
  const fling = speed > FLING_PX_PER_MS && (sideways ? Math.abs(dx) : -dy) > FLING_PX_MIN;
  if (distance < SWIPE_SHARE_MIN * (sideways ? 1 : 0.6) && !fling) return null;
  if (sideways) return dx > 0 ? 'like' : 'skip';
  return 'next';
}

function connectDrag(card, act) {
  const element = card.element;
  let drag = null;

  element.addEventListener('pointerdown', (press) => {
    if (drag || press.button !== 0 || press.target.closest('button, a')) return;
    drag = { id: press.pointerId, x: press.clientX, y: press.clientY, at: press.timeStamp, moved: false, itemId: card.entry?.itemId };
  });
  element.addEventListener('pointermove', (move) => {
    if (move.pointerId !== drag?.id) return;
    const dx = move.clientX - drag.x;
    const dy = move.clientY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < DRAG_START_PX) return;
    if (!drag.moved) {
      drag.moved = true;
      element.setPointerCapture(move.pointerId);
    }
    card.drag(dx, dy, intentOf(dx, dy, element.getBoundingClientRect(), 0));
  });
  element.addEventListener('pointerup', (release) => {
    if (release.pointerId !== drag?.id) return;
    const { x, y, at, moved, itemId } = drag;
    drag = null;
    if (!moved || itemId !== card.entry?.itemId) return;
    const dx = release.clientX - x;
    const dy = release.clientY - y;
    const speed = Math.hypot(dx, dy) / Math.max(1, release.timeStamp - at);
    const intent = intentOf(dx, dy, element.getBoundingClientRect(), speed);
    if (intent) act(intent);
    else card.settle();
  });
  element.addEventListener('pointercancel', (cancelled) => {
    if (cancelled.pointerId !== drag?.id) return;
    drag = null;
    card.settle();
  });
}
