// What the browser tests share: one Chromium, pages whose console must stay clean, swipes that end when the next card is there.
// Waits only on conditions; knows the page by its `data-testid` hooks alone.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const CHROMIUM_ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const WAIT_MS_MAX = 15_000;

/** The running demo, for example `http://127.0.0.1:8080`. */
export const BASE_URL = (process.env.SWIPELINE_URL ?? '').replace(/\/$/, '');

export async function launchBrowser() {
  assert.ok(BASE_URL, 'set SWIPELINE_URL to the address of a running `swipeline demo`');
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: CHROMIUM_ARGUMENTS });
}

/**
 * Runs `body` with a fresh page (a new viewer, unless the body reloads). Afterwards the console must be clean: no error, no
 * warning, no violation of the content security policy, no request to another host.
 */
export async function withPage(browser, options, body) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(WAIT_MS_MAX);
  const page = await context.newPage();
  const complaints = [];
  const frames = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== new URL(BASE_URL).origin) complaints.push(`foreign request: ${url}`);
  });
  page.on('websocket', (socket) => {
    socket.on('framesent', ({ payload }) => record(frames, 'sent', payload));
    socket.on('framereceived', ({ payload }) => record(frames, 'received', payload));
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (violation) => {
      console.error(`policy violation: ${violation.violatedDirective} ${violation.blockedURI}`);
    });
  });
  try {
    await body(page, frames, context);
    assert.deepEqual(complaints, [], 'the browser had nothing to complain about');
  } finally {
    await context.close();
  }
}

function record(frames, direction, payload) {
  for (const message of [].concat(JSON.parse(payload.toString()))) frames.push({ direction, message });
}

export async function openSwipePage(page) {
  const response = await page.goto(`${BASE_URL}/`);
  await waitForCard(page);
  return response;
}

export async function waitForCard(page) {
  await page.locator('[data-testid="status"][data-state="connected"]').waitFor();
  await page.locator('[data-testid="card"][data-item-id]').waitFor();
}

export function currentItem(page) {
  return page.getByTestId('card').getAttribute('data-item-id');
}

/** Does something that leaves the card; resolves when another one is shown. */
export async function swipe(page, gesture) {
  const left = await currentItem(page);
  await gesture();
  await page.waitForFunction((itemId) => {
    const card = document.querySelector('[data-testid="card"]');
    return !card.hidden && card.dataset.itemId !== undefined && card.dataset.itemId !== itemId;
  }, left);
  return { left, shown: await currentItem(page) };
}

/** Resolves with the first recorded frame that fits, now or later. */
export async function frameWhere(page, frames, direction, fits) {
  const find = () => frames.find((frame) => frame.direction === direction && fits(frame.message))?.message;
  const deadline = Date.now() + WAIT_MS_MAX;
  while (!find()) {
    const leftMs = deadline - Date.now();
    assert.ok(leftMs > 0, `no such frame was ${direction}; the last ones: ${JSON.stringify(frames.slice(-4)).slice(0, 1500)}`);
    // Frames arrive as the page runs: look again after its next picture.
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve())));
  }
  return find();
}

/** The events of a sent frame, in both forms that the protocol allows. */
export function eventsOf(message) {
  if (message.type !== 'event') return [];
  return message.events ?? [{ ...message, type: message.event }];
}

/** Drags the card by mouse, by shares of its own size. */
export async function dragCard(page, shareX, shareY) {
  const box = await page.getByTestId('card').boundingBox();
  const start = { x: box.x + box.width * 0.4, y: box.y + box.height * 0.45 };
  await page.mouse.move(start.x, start.y);
  await page.mouse.down();
  for (const part of [0.25, 0.5, 0.75, 1]) await page.mouse.move(start.x + box.width * shareX * part, start.y + box.height * shareY * part);
  await page.mouse.up();
}

/** Swipes the card with one finger, through the browser's own touch input. */
export async function touchCard(page, context, shareX, shareY) {
  const box = await page.getByTestId('card').boundingBox();
  const start = { x: box.x + box.width * 0.4, y: box.y + box.height * 0.45 };
  const session = await context.newCDPSession(page);
  const at = (part) => [{ x: start.x + box.width * shareX * part, y: start.y + box.height * shareY * part }];
  await session.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: at(0) });
  for (const part of [0.25, 0.5, 0.75, 1]) await session.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: at(part) });
  await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await session.detach();
}
