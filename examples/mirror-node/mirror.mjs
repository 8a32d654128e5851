// Keeps a table of all users of an organization in a JSON file, as they are now.
//
//   PROVOST_URL=http://127.0.0.1:8080 PROVOST_TOKEN=… node mirror.mjs users.json
//
// It needs Node 20 or newer, no packages, and the token of an auditor. It may be killed
// at any time, and goes on where it was: the file, with the users and the cursor, is
// replaced as a whole.
import { open, readFile, rename } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

const [file] = process.argv.slice(2);
const { PROVOST_URL, PROVOST_TOKEN } = process.env;
if (!file || !PROVOST_URL || !PROVOST_TOKEN) {
  console.error('usage: PROVOST_URL=… PROVOST_TOKEN=… node mirror.mjs FILE');
  process.exit(64);
}
const server = PROVOST_URL.replace(/\/$/, '') + '/api/v1';

class Gone extends Error {} // 410: the cursor has expired

async function request(path, accept = 'application/json', signal = AbortSignal.timeout(60_000)) {
  const response = await fetch(server + path, { headers: { Authorization: `Bearer ${PROVOST_TOKEN}`, Accept: accept }, signal });
  if (response.status === 410) throw new Gone();
  if (response.status === 404) return null;
  if (response.status !== 200) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
  return response;
}

const get = async (path) => (await request(path))?.json() ?? null;
const row = ({ id, user_name, active, email = '' }) => ({ id, user_name, active, email });

async function load() {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (err) {
    if (err.code === 'ENOENT') return null;
    throw err;
  }
}

// save replaces the file: after a crash it is the old one or the new one, never a part.
async function save(table) {
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(JSON.stringify(table));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}

// snapshot reads the lists. The place in the log is asked for first, so that nothing
// that changes meanwhile is missed.
async function snapshot() {
  const { last_cursor: cursor } = await get('/events?limit=1');
  const users = {};
  let next = '';
  do {
    const page = await get(`/users?limit=1000&cursor=${encodeURIComponent(next)}`);
    for (const user of page.items) users[user.id] = row(user);
    next = page.next_cursor ?? '';
  } while (next);
  const table = { cursor, users };
  await save(table);
  return table;
}

// apply writes the user of an event as it is now, and the event's cursor.
async function apply(table, event) {
  if (event.resource_type === 'User') {
    const user = await get(`/users/${encodeURIComponent(event.resource_id)}`);
    if (user) table.users[user.id] = row(user);
    else delete table.users[event.resource_id];
  }
  table.cursor = event.cursor;
  await save(table);
}

// follow applies events as they come, until the stream ends.
async function follow(table) {
  const response = await request(`/events?after=${table.cursor}`, 'text/event-stream', null);
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith('data: ')) await apply(table, JSON.parse(line.slice(6)));
    }
  }
}

for (;;) {
  try {
    const table = (await load()) ?? (await snapshot());
    await follow(table);
  } catch (err) {
    if (err instanceof Gone) {
      await snapshot().catch((again) => console.error(again.message));
    } else {
      console.error(`trying again in a second: ${err.message}`);
    }
    await pause(1000);
  }
}
