// The queue of coming items: a pure state machine of feeds in, cards out. Owns what was displayed and what is still to come;
// knows no socket and no DOM.

const DISPLAYED_ITEMS_MAX = 5_000;
const UNKNOWN_CATEGORY = 'other';

export class FeedQueue {
  #tail = [];
  #displayed = new Set();
  #lastItems = [];

  /** Coming entries, next first. */
  get upcoming() {
    return this.#tail;
  }

  get length() {
    return this.#tail.length;
  }

  /**
   * Takes a feed message. `replace_tail` drops everything not yet displayed; `append` adds to the end. What the viewer has
   * already been shown here is left out: a feed may have been on its way while the card changed.
   */
  apply(message, epoch) {
    const before = this.#lastItems;
    const dropped = message.mode === 'replace_tail' ? this.#tail.length : 0;
    if (message.mode === 'replace_tail') this.#tail = [];
    const known = new Set(this.#tail.map((entry) => entry.itemId));
    const items = Array.isArray(message.items) ? message.items : [];
    let added = 0;
    for (const item of items) {
      if (this.#displayed.has(item.item_id) || known.has(item.item_id)) continue;
      known.add(item.item_id);
      this.#tail.push(toEntry(item, message, epoch));
      added += 1;
    }
    // Items added on request are the end of the same feed, not a new one to compare with.
    const isNewFeed = message.mode === 'replace_tail' || before.length === 0;
    if (isNewFeed && items.length > 0) this.#lastItems = items;
    return { added, dropped, sharesBefore: categoryShares(before), sharesAfter: categoryShares(this.#lastItems) };
  }

  /** Takes the next entry to display, or null when nothing is left. */
  next() {
    const entry = this.#tail.shift() ?? null;
    if (entry) {
      this.#displayed.add(entry.itemId);
      if (this.#displayed.size > DISPLAYED_ITEMS_MAX) this.#displayed.delete(this.#displayed.values().next().value);
    }
    return entry;
  }
}

function toEntry(item, message, epoch) {
  return {
    itemId: item.item_id,
    score: item.score,
    position: item.position,
    channels: item.channels ?? [],
    reason: item.reason ?? '',
    explore: Boolean(item.explore),
    propensity: item.propensity,
    item: item.item ?? null,
    seq: message.seq,
    requestId: message.request_id,
    epoch,
  };
}

/** Category → share of the feed in 0..1; an item of several categories counts for each in equal parts. */
export function categoryShares(items) {
  const shares = new Map();
  for (const { item } of items) {
    const categories = item?.categories?.length ? item.categories : [UNKNOWN_CATEGORY];
    for (const category of categories) {
      shares.set(category, (shares.get(category) ?? 0) + 1 / (categories.length * items.length));
    }
  }
  return shares;
}
