// Reading an OpenAPI 3.x document: references, operations, types in words, examples. Pure functions over the document; owns no
// DOM and sends nothing.

const METHODS = ['get', 'put', 'post', 'patch', 'delete', 'head', 'options'];
const REFERENCES_MAX = 20;
const EXAMPLE_DEPTH_MAX = 6;
const UNTAGGED = 'other';

/** Follows `$ref` inside the document; what cannot be found stays as it is. */
export function resolve(document, value) {
  let current = value;
  for (let hops = 0; current && typeof current === 'object' && typeof current.$ref === 'string' && hops < REFERENCES_MAX; hops += 1) {
    const target = lookUp(document, current.$ref);
    if (target === undefined) return current;
    current = target;
  }
  return current;
}

function lookUp(document, reference) {
  if (!reference.startsWith('#/')) return undefined;
  const keys = reference.slice(2).split('/').map((key) => decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~'));
  return keys.reduce((value, key) => value?.[key], document);
}

/** The last part of a reference: the name of a schema. */
export function referenceName(schema) {
  return typeof schema?.$ref === 'string' ? decodeURIComponent(schema.$ref.split('/').at(-1)) : null;
}

/** Operations grouped by tag, in the order of the document's tags, then of their first use. */
export function groupOperations(document) {
  const groups = new Map((document.tags ?? []).map((tag) => [tag.name, { name: tag.name, description: tag.description, operations: [] }]));
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    const shared = resolve(document, item);
    for (const method of METHODS.filter((name) => shared[name])) {
      const operation = toOperation(document, path, method, shared);
      for (const tag of operation.tags) {
        if (!groups.has(tag)) groups.set(tag, { name: tag, operations: [] });
        groups.get(tag).operations.push(operation);
      }
    }
  }
  return [...groups.values()].filter((group) => group.operations.length > 0);
}

function toOperation(document, path, method, item) {
  const raw = item[method];
  const parameters = new Map();
  for (const parameter of [...(item.parameters ?? []), ...(raw.parameters ?? [])].map((entry) => resolve(document, entry))) {
    parameters.set(`${parameter.in}:${parameter.name}`, parameter);
  }
  return {
    id: `${method}-${path}`.replaceAll(/[^a-zA-Z0-9]+/g, '-').replaceAll(/^-|-$/g, ''),
    path,
    method,
    tags: raw.tags?.length ? [raw.tags[0]] : [UNTAGGED],
    summary: raw.summary ?? '',
    description: raw.description ?? '',
    deprecated: Boolean(raw.deprecated),
    parameters: [...parameters.values()],
    body: raw.requestBody ? resolve(document, raw.requestBody) : null,
    responses: Object.entries(raw.responses ?? {}).map(([status, response]) => ({ status, ...resolve(document, response) })),
  };
}

/** A schema's type in a few words: `array of Item`, `string (uri)`, `integer or null`. */
export function typeName(document, schema) {
  if (schema === undefined || schema === true) return 'anything';
  if (schema === false) return 'nothing';
  const name = referenceName(schema);
  if (name) return name;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const variants = schema.oneOf ?? schema.anyOf;
  if (variants) return unique(variants.map((variant) => typeName(document, variant))).join(' or ');
  if (schema.allOf) return unique(schema.allOf.map((part) => typeName(document, part))).join(' and ');
  const types = [].concat(schema.type ?? (schema.properties ? 'object' : schema.items ? 'array' : 'anything'));
  const names = types.map((type) => {
    if (type === 'array') return `array of ${typeName(document, schema.items)}`;
    if (type === 'object' && typeof schema.additionalProperties === 'object') return `map of ${typeName(document, schema.additionalProperties)}`;
    return schema.format && type !== 'null' ? `${type} (${schema.format})` : type;
  });
  if (schema.nullable) names.push('null');
  return unique(names).join(' or ');
}

function unique(values) {
  return [...new Set(values)];
}

/** The limits of a schema in words, as a list. */
export function limitsOf(schema) {
  if (!schema || typeof schema !== 'object') return [];
  const words = [];
  const say = (key, text) => schema[key] !== undefined && words.push(`${text} ${JSON.stringify(schema[key])}`);
  say('minimum', 'at least');
  say('exclusiveMinimum', 'more than');
  say('maximum', 'at most');
  say('exclusiveMaximum', 'less than');
  say('minLength', 'length at least');
  say('maxLength', 'length at most');
  say('minItems', 'items at least');
  say('maxItems', 'items at most');
  say('pattern', 'pattern');
  say('default', 'default');
  if (schema.enum) words.push(`one of ${schema.enum.map((value) => JSON.stringify(value)).join(', ')}`);
  if (schema.readOnly) words.push('read only');
  return words;
}

/** The properties of a schema with everything of `allOf` merged: [{ name, schema, required }]. */
export function propertiesOf(document, schema, depth = 0) {
  const resolved = resolve(document, schema);
  if (!resolved || typeof resolved !== 'object' || depth > EXAMPLE_DEPTH_MAX) return [];
  const inherited = (resolved.allOf ?? []).flatMap((part) => propertiesOf(document, part, depth + 1));
  const required = new Set(resolved.required ?? []);
  const own = Object.entries(resolved.properties ?? {}).map(([name, property]) => ({ name, schema: property, required: required.has(name) }));
  return [...inherited, ...own];
}

/** An example of a media type: the given one, or one made from the schema. */
export function exampleOf(document, media) {
  if (media?.example !== undefined) return media.example;
  const [first] = Object.values(media?.examples ?? {});
  const given = resolve(document, first)?.value;
  return given !== undefined ? given : exampleOfSchema(document, media?.schema);
}

export function exampleOfSchema(document, schema, depth = 0) {
  const resolved = resolve(document, schema);
  if (!resolved || typeof resolved !== 'object') return null;
  if (resolved.example !== undefined) return resolved.example;
  if (resolved.examples?.length) return resolved.examples[0];
  for (const key of ['const', 'default']) if (resolved[key] !== undefined) return resolved[key];
  if (resolved.enum?.length) return resolved.enum[0];
  if (depth > EXAMPLE_DEPTH_MAX) return null;
  const variant = (resolved.oneOf ?? resolved.anyOf)?.find((one) => resolve(document, one)?.type !== 'null');
  const properties = propertiesOf(document, resolved);
  if (properties.length > 0) {
    const own = Object.fromEntries(properties.map((property) => [property.name, exampleOfSchema(document, property.schema, depth + 1)]));
    const more = variant ? exampleOfSchema(document, variant, depth + 1) : null;
    return more && typeof more === 'object' ? { ...own, ...more } : own;
  }
  if (variant) return exampleOfSchema(document, variant, depth + 1);
  if (resolved.allOf?.length) return exampleOfSchema(document, resolved.allOf[0], depth + 1);
  return exampleOfType(document, resolved, depth);
}

function exampleOfType(document, schema, depth) {
  const type = [].concat(schema.type ?? (schema.items ? 'array' : 'object')).find((name) => name !== 'null');
  switch (type) {
    case 'string':
      return schema.format === 'date-time' ? '2026-01-01T00:00:00Z' : 'string';
    case 'integer':
    case 'number':
      return schema.minimum ?? 0;
    case 'boolean':
      return false;
    case 'array':
      return depth >= EXAMPLE_DEPTH_MAX || isLoop(document, schema.items) ? [] : [exampleOfSchema(document, schema.items, depth + 1)];
    default:
      return typeof schema.additionalProperties === 'object' ? { key: exampleOfSchema(document, schema.additionalProperties, depth + 1) } : {};
  }
}

/** True for a schema that holds a list of itself: its example would go on for ever. */
function isLoop(document, schema) {
  const name = referenceName(schema);
  if (!name) return false;
  return propertiesOf(document, schema).some(({ schema: property }) => referenceName(property) === name || referenceName(property?.items) === name);
}
