// Details of items whose feed entry did not bring them along. Owns a small cache; must never ask for a feed (that would count
// as shown).

const CACHED_ITEMS_MAX = 500;

export class Catalogue {
  #items = new Map();

  /** The entry's item, fetched when the feed did not carry it; a bare one when the server does not tell. */
  async complete(entry) {
    if (entry.item) return entry.item;
    const cached = this.#items.get(entry.itemId);
    const item = cached ?? (await fetchItem(entry.itemId));
    if (!cached) this.#remember(item);
    entry.item = item;
    return item;
  }

  #remember(item) {
    this.#items.set(item.id, item);
    if (this.#items.size > CACHED_ITEMS_MAX) this.#items.delete(this.#items.keys().next().value);
  }
}

async function fetchItem(itemId) {
  const bare = { id: itemId, title: itemId, categories: [], tags: [] };
  try {
    const response = await fetch(`/v1/items/${encodeURIComponent(itemId)}`, { headers: { Accept: 'application/json' } });
    return response.ok ? await response.json() : bare;
  } catch {
    return bare;
  }
}
