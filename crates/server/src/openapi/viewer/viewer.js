// Shows /api/openapi.json. No other host, no library, no HTML from text: everything the document
// says becomes a text node, as the page's policy demands.
'use strict';

const METHODS = ['get', 'put', 'post', 'patch', 'delete'];
const BODY_SHOWN = 64 * 1024; // characters of an answer
const BODY_READ = 256 * 1024; // bytes of an answer: an event stream may never end
const READ_WITHIN = 5_000; // ms

/** An element with attributes and children; texts become text nodes. */
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text with `code` and **bold**: all of Markdown that the document uses. */
function inline(text) {
  return (text ?? '').split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith('`')) return h('code', {}, part.slice(1, -1));
    if (part.startsWith('**')) return h('strong', {}, part.slice(2, -2));
    return part;
  });
}

function prose(text) {
  return (text ?? '').split('\n\n').map((paragraph) => h('p', {}, inline(paragraph)));
}

let api;

function resolve(schema) {
  const path = schema?.$ref?.match(/^#\/components\/schemas\/(.+)$/)?.[1];
  return path === undefined ? schema : api.components.schemas[path];
}

function kindOf(schema) {
  const name = schema?.$ref?.split('/').pop();
  if (name !== undefined) return name;
  if (schema === true || schema === undefined || schema === null) return 'any';
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return options.map(kindOf).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((word) => JSON.stringify(word)).join(' | ');
  const kinds = [schema.type ?? 'any'].flat();
  return kinds
    .map((kind) => (kind === 'array' ? `array of ${kindOf(schema.items)}` : kind))
    .join(' | ')
    .concat(schema.format && /^(uuid|date-time)$/.test(schema.format) ? ` (${schema.format})` : '');
}

function limits(schema) {
  const said = [];
  for (const [key, word] of [['minimum', '≥'], ['maximum', '≤'], ['minLength', 'length ≥'], ['maxLength', 'length ≤']]) {
    if (schema?.[key] !== undefined && !(key === 'minimum' && schema[key] === 0)) said.push(`${word} ${schema[key]}`);
  }
  if (schema?.default !== undefined) said.push(`default ${JSON.stringify(schema.default)}`);
  return said.join(', ');
}

/** The schemas that stand inside `schema` and have fields of their own. */
function inner(schema) {
  const options = schema?.anyOf ?? schema?.oneOf ?? [schema?.items, schema];
  return options.filter((one) => one?.$ref !== undefined);
}

/** A schema's fields, one level; deeper ones are made when they are opened. */
function fields(given, seen = []) {
  const schema = resolve(given);
  const options = schema?.oneOf ?? schema?.anyOf;
  if (options !== undefined) {
    return h('ul', { class: 'schema' }, options.map((option) => h('li', {},
      h('span', { class: 'kind' }, kindOf(option)),
      option.description ? h('span', {}, ' ', inline(option.description)) : null,
      resolve(option)?.properties ? fields(option, seen) : null)));
  }
  if (schema?.type === 'array') return fields(schema.items, seen);
  if (schema?.properties === undefined) return h('p', { class: 'quiet' }, kindOf(given));
  const required = new Set(schema.required ?? []);
  return h('ul', { class: 'schema' }, Object.entries(schema.properties).map(([name, field]) => {
    const deeper = inner(field).filter((one) => !seen.includes(one.$ref) && resolve(one)?.properties);
    const line = [
      h('code', { class: required.has(name) ? 'required' : undefined }, name), ' ',
      h('span', { class: 'kind' }, kindOf(field), ' ', limits(field)), ' ',
      inline(field.description ?? resolve(field)?.description),
    ];
    if (deeper.length === 0) return h('li', {}, ...line);
    const details = h('details', {}, h('summary', {}, ...line));
    details.addEventListener('toggle', () => {
      for (const one of deeper) details.append(fields(one, [...seen, one.$ref]));
    }, { once: true });
    return h('li', {}, details);
  }));
}

function content(media) {
  return Object.entries(media ?? {}).map(([kind, { schema, example }]) => [
    h('p', {}, h('code', {}, kind), ' ', h('span', { class: 'quiet' }, kindOf(schema))),
    resolve(schema)?.properties || resolve(schema)?.items || resolve(schema)?.oneOf ? fields(schema) : null,
    example === undefined ? null : h('details', {}, h('summary', {}, 'Example'),
      h('pre', {}, typeof example === 'string' ? example : JSON.stringify(example, null, 2))),
  ]);
}

function shellQuoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The path with its parameters filled in; `null`: one is missing. */
function target(path, operation, values) {
  let filled = path;
  const query = new URLSearchParams();
  for (const { name, in: place } of operation.parameters ?? []) {
    const value = values.get(name) ?? '';
    if (place === 'path') {
      if (value === '') return null;
      filled = filled.replace(`{${name}}`, encodeURIComponent(value));
    } else if (place === 'query' && value !== '') query.set(name, value);
  }
  return query.size === 0 ? filled : `${filled}?${query}`;
}

function headersOf(operation, values) {
  const headers = {};
  for (const { name, in: place } of operation.parameters ?? []) {
    const value = values.get(name) ?? '';
    if (place === 'header' && value !== '') headers[name] = value;
  }
  const token = document.getElementById('token').value.trim();
  if (token !== '') headers.Authorization = `Bearer ${token}`;
  return headers;
}

/** The beginning of an answer: enough to look at, however long it goes on. */
async function beginning(response) {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const decoder = new TextDecoder();
  let text = '';
  let read = 0;
  const late = new Promise((resolve) => setTimeout(() => resolve({ late: true }), READ_WITHIN));
  while (read < BODY_READ) {
    const chunk = await Promise.race([reader.read(), late]);
    if (chunk.late) return `${text}\n… (still open after ${READ_WITHIN / 1000} s)`;
    if (chunk.done) return text;
    read += chunk.value.length;
    text += decoder.decode(chunk.value, { stream: true });
    void reader.closed.catch(() => undefined);
  }
  await reader.cancel();
  return `${text}\n… (cut)`;
}

function tryIt(path, operation) {
  const values = new Map();
  const output = h('div', { 'aria-live': 'polite' });
  const send = async () => {
    const url = target(path, operation, values);
    if (url === null) {
      output.replaceChildren(h('p', { class: 'quiet' }, 'Fill in the parameters of the path first.'));
      return;
    }
    output.replaceChildren(h('p', { class: 'quiet' }, 'Asking …'));
    const begun = performance.now();
    const stop = new AbortController();
    try {
      const response = await fetch(url, { headers: headersOf(operation, values), signal: stop.signal });
      let text = await beginning(response);
      const took = Math.round(performance.now() - begun);
      if (response.headers.get('content-type')?.includes('json')) {
        try {
          text = JSON.stringify(JSON.parse(text), null, 2);
        } catch {
          // Cut, or no JSON after all: shown as it came.
        }
      }
      output.replaceChildren(
        h('p', {}, h('strong', {}, `${response.status} ${response.statusText}`),
          h('span', { class: 'quiet' }, ` ${response.headers.get('content-type') ?? ''}, ${took} ms`)),
        h('pre', { tabindex: '0' }, text.slice(0, BODY_SHOWN)));
    } catch (error) {
      output.replaceChildren(h('p', {}, `No answer: ${error.message}`));
    } finally {
      stop.abort();
    }
  };
  const inputs = (operation.parameters ?? []).map(({ name, required, schema, description, in: place }) => {
    const input = h('input', {
      'aria-label': name, placeholder: place, spellcheck: 'false', autocomplete: 'off',
      oninput: (event) => values.set(name, event.target.value),
      onkeydown: (event) => { if (event.key === 'Enter') void send(); },
    });
    return h('tr', {},
      h('td', {}, h('code', { class: required ? 'required' : undefined }, name)),
      h('td', {}, h('span', { class: 'quiet' }, `${kindOf(schema)} ${limits(schema)}`), h('br'), inline(description)),
      h('td', {}, input));
  });
  return { inputs, output, send, values };
}

function operationOf(path, method, operation) {
  const details = h('details', { class: 'operation', id: operation.operationId },
    h('summary', {},
      h('span', { class: `method ${method}` }, method.toUpperCase()), h('code', {}, path),
      h('span', { class: 'permission' }, operation['x-permission'] ?? ''),
      h('span', { class: 'what' }, operation.summary)));
  const fill = () => {
    const trial = tryIt(path, operation);
    const curl = h('pre', {});
    const write = () => {
      const url = `${location.origin}${target(path, operation, trial.values) ?? path}`;
      const body = operation.requestBody?.content?.['application/json']?.example;
      const parts = ['curl', method === 'get' ? '' : `-X ${method.toUpperCase()}`,
        operation.security?.length > 0 ? '-H "Authorization: Bearer $TOKEN"' : '',
        body === undefined ? '' : `--json ${shellQuoted(JSON.stringify(body))}`, shellQuoted(url)];
      curl.textContent = parts.filter((part) => part !== '').join(' ');
    };
    write();
    details.append(h('div', { class: 'inner', oninput: write },
      prose(operation.description),
      trial.inputs.length === 0 ? null : [h('h3', {}, 'Parameters'), h('table', {}, h('tbody', {}, trial.inputs))],
      operation.requestBody === undefined ? null : [h('h3', {}, 'Body'), content(operation.requestBody.content)],
      h('h3', {}, 'Call'), curl,
      // Only what changes nothing can be tried here: a click in a manual must not start a script.
      method !== 'get' || path === '/ws' ? null
        : h('p', {}, h('button', { type: 'button', onclick: () => void trial.send() }, 'Try it')),
      trial.output,
      h('h3', {}, 'Answers'),
      Object.entries(operation.responses).map(([status, answer]) =>
        h('details', { class: 'answer', open: status.startsWith('2') },
          h('summary', {}, h('code', {}, status), ' ', inline(answer.description)), content(answer.content)))));
  };
  details.addEventListener('toggle', fill, { once: true });
  return details;
}

function show() {
  const main = document.getElementById('routes');
  const list = document.getElementById('list');
  document.getElementById('version').textContent = api.info.version;
  document.getElementById('about').append(...prose(api.info.description));
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, operation: item[method] })));
  for (const tag of api.tags) {
    const mine = operations.filter(({ operation }) => operation.tags.includes(tag.name));
    if (mine.length === 0) continue;
    main.append(h('section', {}, h('h2', {}, tag.name), h('p', { class: 'quiet' }, tag.description),
      mine.map(({ path, method, operation }) => operationOf(path, method, operation))));
    list.append(h('section', {}, h('h2', {}, tag.name), mine.map(({ path, method, operation }) =>
      h('a', { href: `#${operation.operationId}`, 'data-text': `${method} ${path} ${operation.summary}`.toLowerCase() },
        h('span', { class: `method ${method}` }, method.toUpperCase()), h('code', {}, path)))));
  }
  main.append(h('section', {}, h('h2', {}, 'schemas'), Object.entries(api.components.schemas).map(([name, schema]) =>
    h('details', { class: 'operation', id: `schema-${name}` }, h('summary', {}, h('code', {}, name),
      h('span', { class: 'what' }, schema.description?.split('\n')[0] ?? '')), h('div', { class: 'inner' }, fields(schema, [`#/components/schemas/${name}`]))))));
}

function openHash() {
  const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (found instanceof HTMLDetailsElement) {
    found.open = true;
    found.scrollIntoView();
  }
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '');
  for (const section of document.querySelectorAll('#list section')) {
    let any = false;
    for (const link of section.querySelectorAll('a')) {
      link.hidden = !words.every((word) => link.dataset.text.includes(word));
      any ||= !link.hidden;
    }
    section.hidden = !any;
  }
}

async function start() {
  try {
    const theme = localStorage.getItem('sf.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // No storage: as the system says.
  }
  const search = document.getElementById('filter');
  search.addEventListener('input', () => filter(search.value));
  document.addEventListener('keydown', (event) => {
    if (event.key === '/' && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      search.focus();
    }
  });
  try {
    const response = await fetch('/api/openapi.json');
    api = await response.json();
    show();
    window.addEventListener('hashchange', openHash);
    openHash();
  } catch (error) {
    document.getElementById('problem').textContent = `The document could not be read: ${error.message}`;
  }
}

void start();
