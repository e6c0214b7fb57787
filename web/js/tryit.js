// The form that sends a request from the docs page and shows the answer. Owns its form; sends only when asked to.

import { byId, el } from './dom.js';
import { exampleOf, exampleOfSchema, resolve } from './openapi.js';

const RESPONSE_CHARACTERS_MAX = 200_000;
const METHODS_THAT_CHANGE = new Set(['put', 'post', 'patch', 'delete']);

/** A form for an operation of the document. */
export function tryItForm(document, operation) {
  const fields = operation.parameters.filter(({ in: place }) => place !== 'cookie').map((parameter) => parameterField(document, operation, parameter));
  const body = operation.body ? bodyField(document, operation) : null;
  const send = el('button', { class: 'solid', type: 'submit', text: 'Send', data: { testid: 'send' } });
  const note = METHODS_THAT_CHANGE.has(operation.method) ? el('span', { class: 'note', text: 'This changes the data of the server.' }) : null;
  const output = el('div', { class: 'answer', data: { testid: 'answer' }, 'aria-live': 'polite' });
  const form = el('form', { class: 'try', novalidate: true }, ...fields.map(({ label }) => label), ...(body ? body.elements : []), el('div', { class: 'try-send' }, send, note), output);
  form.addEventListener('submit', async (submitted) => {
    submitted.preventDefault();
    const request = buildRequest(operation, fields, body);
    if (request.missing) {
      output.replaceChildren(el('p', { class: 'failed', text: `${request.missing} is required.` }));
      return;
    }
    send.disabled = true;
    await sendRequest(request, output);
    send.disabled = false;
  });
  return form;
}

function parameterField(document, operation, parameter) {
  const id = `${operation.id}-${parameter.in}-${parameter.name}`;
  const schema = resolve(document, parameter.schema) ?? {};
  const choices = schema.enum ?? (schema.type === 'boolean' ? [false, true] : null);
  const preset = parameter.example ?? (parameter.required ? exampleOfSchema(document, schema) : '');
  const placeholder = schema.default !== undefined ? String(schema.default) : '';
  const input = choices
    ? el('select', { id }, ...(parameter.required ? [] : [el('option', { value: '', text: '' })]), ...choices.map((choice) => el('option', { value: String(choice), text: String(choice) })))
    : el('input', { id, type: 'text', autocomplete: 'off', spellcheck: 'false', placeholder });
  if (!choices || parameter.required) input.value = typeof preset === 'object' ? JSON.stringify(preset) : String(preset);
  const label = el('label', { for: id }, el('span', { class: 'field-name' }, el('code', { text: parameter.name }), parameter.required ? el('b', { text: ' required' }) : null), input);
  return { parameter, input, label };
}

function bodyField(document, operation) {
  const media = Object.entries(operation.body.content ?? {});
  const id = `${operation.id}-body`;
  const text = el('textarea', { id, rows: '9', spellcheck: 'false', data: { testid: 'body' } });
  const type = el('select', { id: `${id}-type` }, ...media.map(([name]) => el('option', { value: name, text: name })));
  const fill = () => {
    const example = exampleOf(document, operation.body.content?.[type.value]);
    text.value = typeof example === 'string' ? example : JSON.stringify(example, null, 2);
    text.rows = Math.min(18, Math.max(4, text.value.split('\n').length));
  };
  type.addEventListener('change', fill);
  fill();
  const elements = [
    el('label', { for: type.id }, el('span', { class: 'field-name', text: 'Content type' }), type),
    el('label', { class: 'wide', for: id }, el('span', { class: 'field-name', text: 'Body' }), text),
  ];
  return { elements, type, text };
}

function buildRequest(operation, fields, body) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = { Accept: 'application/json, application/problem+json;q=0.9, */*;q=0.1' };
  for (const { parameter, input } of fields) {
    const value = input.value.trim();
    if (value === '' && parameter.required) return { missing: parameter.name };
    if (value === '') continue;
    if (parameter.in === 'path') path = path.replaceAll(`{${parameter.name}}`, encodeURIComponent(value));
    else if (parameter.in === 'query') query.append(parameter.name, value);
    else headers[parameter.name] = value;
  }
  const token = byId('token').value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers['Content-Type'] = body.type.value;
  const search = query.toString();
  return { method: operation.method.toUpperCase(), url: search ? `${path}?${search}` : path, headers, body: body?.text.value };
}

async function sendRequest({ method, url, headers, body }, output) {
  const command = el('pre', { class: 'code' }, el('code', { text: curlCommand(method, url, headers, body) }));
  const startedAt = performance.now();
  try {
    const response = await fetch(url, { method, headers, body });
    const text = await response.text();
    const tookMs = performance.now() - startedAt;
    const status = el('p', { class: 'answer-status', data: { testid: 'answer-status', status: String(response.status), ok: String(response.ok) } }, el('b', { text: `${response.status} ${response.statusText}`.trim() }), ` in ${tookMs.toFixed(0)} ms, ${text.length} characters`);
    const shown = el('pre', { class: 'code', tabindex: '0', data: { testid: 'answer-body' } }, el('code', { text: pretty(text, response.headers.get('content-type')) || '(no body)' }));
    const lines = Array.from(response.headers, ([name, value]) => `${name}: ${value}`).join('\n');
    const more = el('details', {}, el('summary', { text: 'Headers and command' }), el('pre', { class: 'code' }, el('code', { text: lines })), command);
    output.replaceChildren(status, shown, more);
  } catch (failure) {
    output.replaceChildren(el('p', { class: 'failed', text: `The request could not be sent: ${failure.message}` }), command);
  }
}

function pretty(text, contentType) {
  const short = text.length > RESPONSE_CHARACTERS_MAX ? `${text.slice(0, RESPONSE_CHARACTERS_MAX)}\n… (cut)` : text;
  if (short !== text || !/\bjson\b/.test(contentType ?? '')) return short;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function curlCommand(method, url, headers, body) {
  const quote = (value) => `'${value.replaceAll("'", "'\\''")}'`;
  const shown = Object.entries(headers).map(([name, value]) => `  -H ${quote(name === 'Authorization' ? 'Authorization: Bearer $TOKEN' : `${name}: ${value}`)}`);
  const parts = [`curl -X ${method} ${quote(location.origin + url)}`, ...shown];
  if (body !== undefined) parts.push(`  --data-binary ${quote(body)}`);
  return parts.join(' \\\n');
}
