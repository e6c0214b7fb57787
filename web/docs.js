// The API page: fetches /openapi.json and draws it. Owns the page's DOM; reading the document is in js/openapi.js and sending
// requests in js/tryit.js. Must never need anything from another host.

import { byId, el } from './js/dom.js';
import { exampleOf, groupOperations, limitsOf, propertiesOf, referenceName, resolve, typeName } from './js/openapi.js';
import { tryItForm } from './js/tryit.js';

const SCHEMA_DEPTH_MAX = 8;

async function main() {
  const content = byId('content');
  try {
    const response = await fetch('/openapi.json', { headers: { Accept: 'application/json' } });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    draw(content, await response.json());
  } catch (failure) {
    content.replaceChildren(el('p', { class: 'failed', text: `The description of the API could not be read: ${failure.message}.` }));
  }
  content.setAttribute('aria-busy', 'false');
}

function draw(content, document) {
  const groups = groupOperations(document);
  byId('version').textContent = document.info?.version ? `version ${document.info.version}` : '';
  const head = el('section', { class: 'head' }, el('h1', { text: document.info?.title ?? 'API' }), ...paragraphs(document.info?.description));
  content.replaceChildren(head, ...groups.map((group) => drawGroup(document, group)));
  byId('index').replaceChildren(...groups.map(drawIndex));
  byId('filter').addEventListener('input', () => applyFilter(byId('filter').value));
  window.addEventListener('hashchange', openTarget);
  openTarget();
}

function drawGroup(document, group) {
  const operations = group.operations.map((operation) => drawOperation(document, operation));
  return el('section', { class: 'group', 'aria-label': group.name }, el('h2', { text: group.name }), ...paragraphs(group.description), ...operations);
}

function drawIndex(group) {
  const links = group.operations.map((operation) =>
    el('li', { data: { filter: filterText(operation) } }, el('a', { href: `#${operation.id}`, title: operation.summary }, method(operation.method), el('span', { class: 'index-path', text: operation.path }))),
  );
  return el('section', { class: 'index-group' }, el('h2', { text: group.name }), el('ul', {}, ...links));
}

function method(name) {
  return el('span', { class: `method method-${name}`, text: name.toUpperCase() });
}

function filterText(operation) {
  return `${operation.method} ${operation.path} ${operation.summary} ${operation.tags.join(' ')}`.toLowerCase();
}

/** An operation as a fold; its inside is drawn when it is opened for the first time. */
function drawOperation(document, operation) {
  const path = el('span', { class: 'path' }, ...operation.path.split(/(\{[^}]+\})/).map((part) => (part.startsWith('{') ? el('em', { text: part }) : part)));
  const summary = el('summary', {}, method(operation.method), path, el('span', { class: 'summary-text', text: operation.summary }), operation.deprecated ? el('span', { class: 'tag', text: 'deprecated' }) : null);
  const inside = el('div', { class: 'inside' });
  const data = { testid: 'operation', method: operation.method, path: operation.path, filter: filterText(operation) };
  const fold = el('details', { class: `operation${operation.deprecated ? ' deprecated' : ''}`, id: operation.id, data }, summary, inside);
  fold.addEventListener('toggle', () => {
    if (fold.open && inside.childElementCount === 0) inside.append(...insideOf(document, operation));
  });
  return fold;
}

function insideOf(document, operation) {
  const parts = [...paragraphs(operation.description)];
  if (operation.parameters.length > 0) parts.push(el('h3', { text: 'Parameters' }), drawParameters(document, operation.parameters));
  if (operation.body) {
    parts.push(el('h3', { text: operation.body.required ? 'Body (required)' : 'Body' }), ...paragraphs(operation.body.description), ...drawContent(document, operation.body.content));
  }
  parts.push(el('h3', { text: 'Answers' }), ...operation.responses.map((response) => drawResponse(document, response)));
  parts.push(el('h3', { text: 'Try it' }), tryItForm(document, operation));
  return parts;
}

function drawParameters(document, parameters) {
  const rows = parameters.map((parameter) => {
    const schema = resolve(document, parameter.schema);
    return el(
      'tr',
      {},
      el('th', { scope: 'row' }, el('code', { text: parameter.name }), parameter.required ? el('b', { class: 'required', text: 'required' }) : null),
      el('td', { text: parameter.in }),
      el('td', {}, typeName(document, schema), ...limits(schema)),
      el('td', { text: parameter.description ?? schema?.description ?? '' }),
    );
  });
  const heads = ['Name', 'In', 'Type', 'Meaning'].map((name) => el('th', { scope: 'col', text: name }));
  return el('div', { class: 'scroll', tabindex: '0' }, el('table', {}, el('thead', {}, el('tr', {}, ...heads)), el('tbody', {}, ...rows)));
}

function limits(schema) {
  const words = limitsOf(schema);
  return words.length > 0 ? [el('span', { class: 'limits', text: words.join(', ') })] : [];
}

function drawResponse(document, response) {
  const kind = response.status.startsWith('2') ? 'good' : response.status.startsWith('1') || response.status.startsWith('3') ? 'neutral' : 'bad';
  const headers = Object.entries(response.headers ?? {}).map(([name, header]) => el('p', { class: 'note' }, el('code', { text: name }), `: ${resolve(document, header)?.description ?? 'header'}`));
  const content = drawContent(document, response.content);
  const title = el('summary', {}, el('b', { class: `code-${kind}`, text: response.status }), ` ${response.description ?? ''}`);
  if (content.length + headers.length === 0) return el('p', { class: 'response plain' }, ...title.childNodes);
  return el('details', { class: 'response', open: kind === 'good' }, title, ...headers, ...content);
}

function drawContent(document, content) {
  return Object.entries(content ?? {}).map(([type, media]) => {
    const example = exampleOf(document, media);
    const text = typeof example === 'string' ? example : JSON.stringify(example, null, 2);
    return el(
      'div',
      { class: 'content' },
      el('p', { class: 'content-type' }, el('code', { text: type }), el('span', { text: typeName(document, media.schema) })),
      el('div', { class: 'content-pair' }, drawSchema(document, media.schema, []) ?? el('p', { class: 'note', text: 'No fields.' }), el('details', { open: true }, el('summary', { text: 'Example' }), el('pre', { class: 'code', tabindex: '0' }, el('code', { text })))),
    );
  });
}

/** The fields of a schema as a nested list; `trail` holds the named schemas above, so that a loop ends. */
function drawSchema(document, schema, trail) {
  const name = referenceName(schema);
  if (trail.length > SCHEMA_DEPTH_MAX || (name && trail.includes(name))) return null;
  const deeper = [...trail, name ?? ''];
  const resolved = resolve(document, schema);
  if (!resolved || typeof resolved !== 'object') return null;
  const fields = propertiesOf(document, resolved);
  const rows = fields.map((field) => drawField(document, field, deeper));
  for (const variant of resolved.oneOf ?? resolved.anyOf ?? []) {
    const inner = drawSchema(document, variant, deeper);
    if (inner) rows.push(el('li', {}, el('p', { class: 'variant', text: `either ${typeName(document, variant)}` }), inner));
  }
  if (rows.length > 0) return el('ul', { class: 'fields' }, ...rows);
  if (resolved.items) return drawSchema(document, resolved.items, deeper);
  if (typeof resolved.additionalProperties === 'object') return drawSchema(document, resolved.additionalProperties, deeper);
  return null;
}

function drawField(document, { name, schema, required }, trail) {
  const resolved = resolve(document, schema);
  const line = el('p', { class: 'field' }, el('code', { text: name }), el('span', { class: 'type', text: typeName(document, schema) }), required ? el('b', { class: 'required', text: 'required' }) : null, ...limits(resolved));
  const meaning = schema?.description ?? resolved?.description;
  const inner = drawSchema(document, schema, trail);
  const fold = inner ? el('details', { class: 'inner' }, el('summary', { text: 'fields' }), inner) : null;
  return el('li', {}, line, meaning ? el('p', { class: 'meaning', text: meaning }) : null, fold);
}

/** Text of the document as paragraphs; `code` in backticks becomes code, nothing else is interpreted. */
function paragraphs(text) {
  if (!text) return [];
  return text.split(/\n{2,}/).map((paragraph) => el('p', { class: 'prose' }, ...paragraph.split(/(`[^`]+`)/).map((part) => (part.startsWith('`') && part.length > 2 ? el('code', { text: part.slice(1, -1) }) : part))));
}

function applyFilter(text) {
  const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  for (const element of document.querySelectorAll('[data-filter]')) {
    element.hidden = !wanted.every((word) => element.dataset.filter.includes(word));
  }
  for (const group of document.querySelectorAll('.group, .index-group')) {
    group.hidden = group.querySelectorAll('[data-filter]:not([hidden])').length === 0;
  }
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(target instanceof HTMLDetailsElement)) return;
  target.open = true;
  target.scrollIntoView({ block: 'start' });
}

main();
