// Browser tests of the swipe page and the API page against a running `swipeline demo` (SWIPELINE_URL). Every test is a viewer
// of its own. Nothing here sleeps, and nothing replaces the server: where a connection has to break, a proxy breaks it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  BASE_URL,
  currentItem,
  dragCard,
  eventsOf,
  frameWhere,
  launchBrowser,
  openSwipePage,
  swipe,
  touchCard,
  waitForCard,
  withPage,
} from './harness.mjs';

const SWIPES_IN_A_ROW = 40;
let browser;

before(async () => {
  browser = await launchBrowser();
});
after(() => browser?.close());

/** A picture's fingerprint: cheap, and different for different frames. */
function pictureOf(page) {
  return page.evaluate(() => {
    const canvas = document.querySelector('[data-testid="card"] canvas');
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    const colours = new Set();
    for (let index = 0; index < data.length; index += 404) {
      sum = (Math.imul(sum, 31) + data[index]) | 0;
      colours.add((data[index] << 16) | (data[index + 1] << 8) | data[index + 2]);
    }
    return { sum, colours: colours.size };
  });
}

test('the page loads under its policy and shows a card with a picture', async () => {
  await withPage(browser, {}, async (page, frames) => {
    const response = await openSwipePage(page);
    assert.match(response.headers()['content-security-policy'], /default-src 'none'.*script-src 'self'/);
    assert.notEqual((await page.getByTestId('card-title').innerText()).trim(), '');
    assert.ok((await pictureOf(page)).colours > 20, 'the artwork is painted');
    assert.ok((await page.getByTestId('queue-row').count()) > 0, 'the coming queue is listed');
    const shown = await currentItem(page);
    const feed = await frameWhere(page, frames, 'received', ({ type }) => type === 'feed');
    const place = feed.items.find((item) => item.item_id === shown);
    const seen = await frameWhere(page, frames, 'sent', ({ type }) => type === 'seen');
    assert.deepEqual({ seq: seen.seq, upto: seen.upto }, { seq: feed.seq, upto: place.position });
  });
});

for (const [action, words] of [['like', /^You liked /], ['skip', /^You skipped /]]) {
  test(`a ${action} is answered by a feed that names it`, async () => {
    await withPage(browser, {}, async (page, frames) => {
      await openSwipePage(page);
      const title = (await page.getByTestId('card-title').innerText()).trim();
      const { left, shown } = await swipe(page, () => page.getByTestId(`act-${action}`).click());
      await page.locator(`[data-testid="change"][data-cause="${action}"][data-item-id="${left}"]`).waitFor();
      const text = await page.getByTestId('change-text').innerText();
      assert.match(text, words);
      assert.ok(text.includes(title), `“${text}” names “${title}”`);
      assert.match(await page.getByTestId('round-trip').innerText(), /^[\d.]+ m?s$/);
      assert.match(await page.getByTestId('server-time').innerText(), /^[\d.]+ m?s$/);

      const sent = await frameWhere(page, frames, 'sent', (message) => eventsOf(message).some(({ type }) => type === action));
      const [event] = eventsOf(sent);
      assert.equal(event.item_id, left);
      assert.ok(event.request_id && Number.isInteger(event.position) && Number.isInteger(event.watch_ms));
      const feed = await frameWhere(page, frames, 'received', ({ type, cause }) => type === 'feed' && cause.event_id === event.event_id);
      assert.deepEqual({ mode: feed.mode, kind: feed.cause.kind, item: feed.cause.item_id }, { mode: 'replace_tail', kind: action, item: left });
      assert.ok(!feed.items.some((item) => item.item_id === left), 'the item itself does not come back');
      const ack = await frameWhere(page, frames, 'received', ({ type, id }) => type === 'ack' && id === sent.id);
      assert.deepEqual({ accepted: ack.accepted, durable: ack.durable }, { accepted: 1, durable: true });

      assert.ok(feed.items.some((item) => item.item_id === shown), 'the very next card is of the fresh feed');
      const row = page.getByTestId('log-row').first();
      assert.equal(await row.getAttribute('data-action'), action);
      await row.getByText(/feed in/).waitFor();
      await page.waitForFunction(() => document.querySelectorAll('[data-testid="interests-short"] li[data-tag]').length > 0);
      assert.ok((await page.getByTestId('live').textContent()).includes(title), 'the live region says what happened');
    });
  });
}

test('no item is shown twice in a row of swipes, and what was acted on is never sent again', async () => {
  await withPage(browser, { reducedMotion: 'reduce' }, async (page, frames) => {
    await openSwipePage(page);
    const shown = [await currentItem(page)];
    const gestures = ['l', 'ArrowRight', 's', 'ArrowDown', 'l'];
    for (let count = 0; count < SWIPES_IN_A_ROW; count += 1) {
      shown.push((await swipe(page, () => page.keyboard.press(gestures[count % gestures.length]))).shown);
    }
    assert.equal(new Set(shown).size, SWIPES_IN_A_ROW + 1, `a repeat among ${shown.join(' ')}`);
    assert.equal(await page.getByTestId('log-row').count(), 10);

    const actedOn = new Map();
    const order = [];
    for (const { direction, message } of frames) {
      for (const event of direction === 'sent' ? eventsOf(message) : []) actedOn.set(event.event_id, order.push(event.item_id));
    }
    let known = 0;
    let checked = 0;
    for (const { message } of frames.filter((frame) => frame.direction === 'received' && frame.message.type === 'feed')) {
      known = Math.max(known, actedOn.get(message.cause.event_id) ?? 0);
      const gone = new Set(order.slice(0, known));
      assert.deepEqual(message.items.filter((item) => gone.has(item.item_id)).map((item) => item.item_id), []);
      checked += known > 0 ? 1 : 0;
    }
    assert.ok(checked >= SWIPES_IN_A_ROW / 2, `only ${checked} feeds were answers to swipes`);
  });
});

test('keyboard, buttons and mouse do the same things', async () => {
  await withPage(browser, { reducedMotion: 'reduce' }, async (page, frames) => {
    await openSwipePage(page);
    const gestures = [
      ['like', () => page.keyboard.press('l')],
      ['skip', () => page.keyboard.press('s')],
      ['skip', () => page.keyboard.press('ArrowLeft')],
      ['view', () => page.keyboard.press('ArrowRight')],
      ['view', () => page.keyboard.press('Space')],
      ['dislike', () => page.keyboard.press('d')],
      ['like', () => page.getByTestId('act-like').click()],
      ['skip', () => page.getByTestId('act-skip').click()],
      ['view', () => page.getByTestId('act-next').click()],
      ['dislike', () => page.getByTestId('act-dislike').click()],
      ['like', () => dragCard(page, 0.6, 0)],
      ['skip', () => dragCard(page, -0.6, 0)],
      ['view', () => dragCard(page, 0, -0.4)],
    ];
    for (const [type, gesture] of gestures) {
      const { left } = await swipe(page, gesture);
      const sent = await frameWhere(page, frames, 'sent', (message) => eventsOf(message).some((event) => event.item_id === left));
      assert.equal(eventsOf(sent)[0].type, type);
    }
    // A small drag is not a swipe.
    const stays = await currentItem(page);
    await dragCard(page, 0.05, 0);
    assert.equal(await currentItem(page), stays);
    assert.equal(await page.getByTestId('card').getAttribute('data-intent'), '');
  });
});

test('fingers swipe right, left and up', async () => {
  await withPage(browser, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, async (page, frames, context) => {
    await openSwipePage(page);
    for (const [type, shareX, shareY] of [['like', 0.55, 0.02], ['skip', -0.35, 0.02], ['view', 0.02, -0.4]]) {
      const { left } = await swipe(page, () => touchCard(page, context, shareX, shareY));
      const sent = await frameWhere(page, frames, 'sent', (message) => eventsOf(message).some((event) => event.item_id === left));
      assert.equal(eventsOf(sent)[0].type, type);
    }
    assert.equal(await page.evaluate(() => window.scrollY), 0, 'a swipe on the card does not scroll the page');
  });
});

test('favourite, share and follow keep the card', async () => {
  await withPage(browser, {}, async (page, frames) => {
    await openSwipePage(page);
    const item = await currentItem(page);
    for (const [action, key] of [['favorite', 'f'], ['share', 'h'], ['follow', 'a']]) {
      await page.keyboard.press(key);
      await page.locator(`[data-testid="act-${action}"][aria-pressed="true"]`).waitFor();
      const sent = await frameWhere(page, frames, 'sent', (message) => eventsOf(message).some(({ type }) => type === action));
      assert.equal(eventsOf(sent)[0].item_id, item);
      await frameWhere(page, frames, 'received', ({ type, id }) => type === 'ack' && id === sent.id);
    }
    assert.equal(await currentItem(page), item);
  });
});

test('a reload keeps the viewer, and nothing already seen comes back', async () => {
  await withPage(browser, { reducedMotion: 'reduce' }, async (page, frames) => {
    await openSwipePage(page);
    const viewer = await page.getByTestId('viewer-id').innerText();
    const seen = new Set([await currentItem(page)]);
    for (const key of ['l', 'ArrowRight', 's', 'ArrowRight', 'l', 'ArrowRight', 's', 'ArrowRight']) {
      seen.add((await swipe(page, () => page.keyboard.press(key))).shown);
    }
    // The last card was only looked at: an answer to a later message shows that `seen` has arrived.
    await page.keyboard.press('h');
    const share = await frameWhere(page, frames, 'sent', (message) => eventsOf(message).some(({ type }) => type === 'share'));
    await frameWhere(page, frames, 'received', ({ type, id }) => type === 'ack' && id === share.id);

    const framesBefore = frames.length;
    await page.reload();
    await waitForCard(page);
    assert.equal(await page.getByTestId('viewer-id').innerText(), viewer);
    assert.ok(!seen.has(await currentItem(page)));
    for (let count = 0; count < 15; count += 1) {
      const { shown } = await swipe(page, () => page.keyboard.press(count % 3 ? 'ArrowRight' : 'l'));
      assert.ok(!seen.has(shown), `${shown} was seen before the reload`);
    }
    const sentAgain = frames.slice(framesBefore).filter(({ message }) => message.type === 'feed').flatMap(({ message }) => message.items ?? []);
    assert.ok(sentAgain.length > 0);
    assert.deepEqual(sentAgain.filter((item) => seen.has(item.item_id)), []);

    await page.getByTestId('new-viewer').click();
    await page.waitForFunction((old) => {
      const viewerNow = document.querySelector('[data-testid="viewer-id"]')?.textContent;
      return viewerNow && viewerNow !== old;
    }, viewer);
    await waitForCard(page);
  });
});

test('a swipe that the connection swallowed is sent again with the same id', async () => {
  await withPage(browser, {}, async (page) => {
    const connections = [];
    await page.routeWebSocket(/\/v1\/stream/, (client) => {
      const server = client.connectToServer();
      const connection = { hello: null, events: [], acks: [] };
      connections.push(connection);
      client.onMessage((text) => {
        const message = JSON.parse(text);
        if (message.type === 'hello') connection.hello = message;
        connection.events.push(...eventsOf(message).filter(({ type }) => type === 'like'));
        if (connections.length === 1 && connection.events.length > 0) client.close({ code: 4001, reason: 'test' });
        else server.send(text);
      });
      server.onMessage((text) => {
        connection.acks.push(...[].concat(JSON.parse(text)).filter(({ type }) => type === 'ack'));
        client.send(text);
      });
    });
    await openSwipePage(page);
    const liked = await currentItem(page);
    await page.getByTestId('act-like').click();
    await page.locator(`[data-testid="change"][data-cause="like"][data-item-id="${liked}"]`).waitFor();
    await page.locator('[data-testid="status"][data-state="connected"]').waitFor();
    const [first, second] = connections;
    assert.equal(second.events[0].event_id, first.events[0].event_id);
    assert.equal(second.events[0].item_id, liked);
    assert.ok(second.hello.resume.session, 'the second hello resumes the session');
    assert.ok(Number.isInteger(second.hello.resume.seq));
    await page.getByTestId('log-row').first().getByText(/feed in/).waitFor();
  });
});

test('a final close is not followed by another attempt', async () => {
  await withPage(browser, {}, async (page) => {
    let attempts = 0;
    await page.routeWebSocket(/\/v1\/stream/, (client) => {
      attempts += 1;
      client.onMessage(() => client.close({ code: 4501, reason: 'not for you' }));
    });
    await page.goto(`${BASE_URL}/`);
    await page.locator('[data-testid="status"][data-state="offline"]').waitFor();
    await page.getByTestId('empty').getByText('not for you').waitFor();
    assert.equal(attempts, 1);
    await page.getByTestId('empty').getByRole('button', { name: 'Try again' }).click();
    await page.locator('[data-testid="status"][data-state="offline"]').waitFor();
    assert.equal(attempts, 2, 'only the viewer tries again');
  });
});

for (const [width, height] of [[360, 640], [390, 844], [768, 1024]]) {
  test(`the layout fits ${width} × ${height}`, async () => {
    await withPage(browser, { viewport: { width, height } }, async (page) => {
      await openSwipePage(page);
      await swipe(page, () => page.getByTestId('act-like').click());
      await page.locator('[data-testid="change"][data-cause="like"]').waitFor();
      const layout = await page.evaluate(() => {
        const box = (id) => document.querySelector(`[data-testid="${id}"]`).getBoundingClientRect();
        return {
          overflow: document.documentElement.scrollWidth - window.innerWidth,
          card: box('card').toJSON(),
          like: box('act-like').toJSON(),
          panel: box('panel').toJSON(),
        };
      });
      assert.ok(layout.overflow <= 0, `${layout.overflow} px too wide`);
      assert.ok(layout.card.left >= 0 && layout.card.right <= width && layout.card.top >= 0);
      assert.ok(layout.like.bottom <= height, 'the buttons are on the first screen');
      assert.ok(layout.panel.top >= layout.like.bottom, 'the panel is below the phone');
    });
  });
}

test('on a wide screen the panel stands beside the phone', async () => {
  await withPage(browser, { viewport: { width: 1440, height: 900 } }, async (page) => {
    await openSwipePage(page);
    const [card, panel] = await Promise.all([page.getByTestId('card').boundingBox(), page.getByTestId('panel').boundingBox()]);
    assert.ok(panel.x > card.x + card.width);
  });
});

test('pictures move, unless the viewer asked for stillness', async () => {
  await withPage(browser, {}, async (page) => {
    await openSwipePage(page);
    const { sum } = await pictureOf(page);
    const moved = async () => (await pictureOf(page)).sum !== sum;
    while (!(await moved())) await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve())));
  });
  await withPage(browser, { reducedMotion: 'reduce' }, async (page) => {
    await openSwipePage(page);
    const { sum } = await pictureOf(page);
    await page.waitForFunction(() => Number(document.querySelector('#progress').getAttribute('aria-valuenow')) >= 2);
    assert.equal((await pictureOf(page)).sum, sum, 'playback went on, the picture stood still');
  });
});

test('every control has a name and works by keyboard', async () => {
  await withPage(browser, {}, async (page) => {
    await openSwipePage(page);
    const nameless = await page.evaluate(() =>
      Array.from(document.querySelectorAll('button:not([hidden]), a'), (control) => ({ html: control.outerHTML.slice(0, 90), name: (control.getAttribute('aria-label') ?? control.textContent).trim() }))
        .filter(({ name }) => name === '')
        .map(({ html }) => html),
    );
    assert.deepEqual(nameless, []);
    await page.getByTestId('act-skip').focus();
    await swipe(page, () => page.keyboard.press('Enter'));
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    const before = await currentItem(page);
    await page.keyboard.press('l');
    assert.equal(await currentItem(page), before, 'keys do not swipe behind the dialog');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor({ state: 'hidden' });
  });
});

test('the API page lists the operations and sends a request', async () => {
  await withPage(browser, {}, async (page) => {
    await page.goto(`${BASE_URL}/docs`);
    await page.getByTestId('operation').first().waitFor();
    const listed = await page.getByTestId('operation').evaluateAll((folds) => folds.map(({ dataset }) => `${dataset.method} ${dataset.path}`));
    for (const wanted of ['post /v1/events', 'get /v1/users/{id}/feed', 'put /v1/items/{id}', 'get /livez']) {
      assert.ok(listed.includes(wanted), `${wanted} is not among ${listed.join(', ')}`);
    }

    const put = page.locator('[data-testid="operation"][data-method="put"][data-path="/v1/items/{id}"]');
    await put.locator('summary').first().click();
    await put.locator('.field code', { hasText: /^duration_ms$/ }).first().waitFor();
    assert.ok(JSON.parse(await put.getByTestId('body').inputValue()), 'the body is prefilled with an example');

    const livez = page.locator('[data-testid="operation"][data-path="/livez"]');
    await livez.locator('summary').first().click();
    await livez.getByTestId('send').click();
    await livez.locator('[data-testid="answer-status"][data-status="200"]').waitFor();

    await page.getByTestId('filter').fill('livez');
    assert.equal(await page.locator('[data-testid="operation"]:visible').count(), 1);
  });
});

test('the API page fits a narrow screen', async () => {
  await withPage(browser, { viewport: { width: 360, height: 640 } }, async (page) => {
    await page.goto(`${BASE_URL}/docs`);
    const first = page.getByTestId('operation').first();
    await first.locator('summary').first().click();
    await first.getByTestId('send').waitFor();
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
  });
});
