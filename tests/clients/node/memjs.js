// memjs: the binary protocol, with SASL where a user is given.
'use strict';

const path = require('path');
const { Client } = require(path.join(process.argv[2], 'memjs'));
const { check, outcome, settle, incompressible, wait, run, TTL_S, TTL_OVER_MS } = require('./checks');

const ADDRESS = `${process.env.CLIENTS_HOST}:${process.env.CLIENTS_PORT}`;
const silent = { log() {} };

function newClient(options) {
  const login = process.env.CLIENTS_USER
    ? { username: process.env.CLIENTS_USER, password: process.env.CLIENTS_PASSWORD } : {};
  return Client.create(ADDRESS, { timeout: 10, retries: 0, logger: silent, ...login, ...options });
}

const client = newClient();
const text = async (key) => {
  const { value } = await client.get(key);
  return value && value.toString();
};

async function testValues() {
  const stored = {
    text: Buffer.from('grüße 世界'), empty: Buffer.alloc(0), bytes: Buffer.from([...Array(256).keys()]),
    'line-ends': Buffer.from('a\r\nEND\r\n'), large: incompressible(900000),
    ['k'.repeat(250)]: Buffer.from('longest key'), 'schlüssel': Buffer.from('unicode key'),
  };
  for (const [key, value] of Object.entries(stored)) {
    check(`set ${key.slice(0, 5)}`, await client.set(key, value), true);
  }
  await settle();
  for (const [key, value] of Object.entries(stored)) {
    check(`get ${key.slice(0, 5)}`, (await client.get(key)).value, value);
  }
  await settle();
  const together = await Promise.all(Object.keys(stored).map((key) => client.get(key)));
  check('gets at the same time', together.map((found) => found.value), Object.values(stored));
  check('get of a missing key', (await client.get('missing')).value, null);
  check('a value over 1 MB is refused', await outcome(client.set('limit', Buffer.alloc(1024 * 1024 + 1))), 'failed');
  check('the connection goes on', await text('text'), 'grüße 世界');
}

async function testStores() {
  await client.set('there', 'old');
  await settle();
  check('add of what is there', await outcome(client.add('there', 'new')), false);
  check('add of what is missing', await client.add('added', 'new'), true);
  check('replace of what is missing', await outcome(client.replace('absent', 'new')), false);
  check('replace of what is there', await client.replace('there', 'middle'), true);
  await settle();
  check('append', await client.append('there', '>'), true);
  await settle();
  check('prepend', await client.prepend('there', '<'), true);
  check('append to a missing key', await outcome(client.append('absent', 'x')), 'failed');
  await settle();
  // memjs 1.3.2 sends an append where it is asked for a prepend; the server does as it is told.
  check('get what was put together', await text('there'), 'middle><');
  await settle();
  check('delete', await client.delete('there'), true);
  check('delete once more', await outcome(client.delete('there')), false);
  check('get of what was deleted', await text('there'), null);
}

async function testCounters() {
  await client.set('count', '10');
  await settle();
  check('increment', (await client.increment('count', 5, {})).value, 15);
  await settle();
  check('decrement', (await client.decrement('count', 7, {})).value, 8);
  await settle();
  check('decrement stops at zero', (await client.decrement('count', 100, {})).value, 0);
  check('increment with an initial value', (await client.increment('made', 1, { initial: 7 })).value, 7);
  await settle();
  check('increment after it', (await client.increment('made', 1, { initial: 7 })).value, 8);
  await client.set('words', 'no number');
  await settle();
  check('increment of no number', await outcome(client.increment('words', 1, {})), 'failed');
  check('the connection goes on after it', await text('words'), 'no number');
}

async function testExpiry() {
  for (const key of ['short', 'touched']) await client.set(key, key, { expires: TTL_S });
  await client.set('long', 'long', { expires: 100 });
  await settle();
  check('touch', await client.touch('touched', 100), true);
  check('touch of a missing key', await outcome(client.touch('absent', 100)), false);
  await settle();
  await wait(TTL_OVER_MS);
  check('expired', await text('short'), null);
  check('touched in time', await text('touched'), 'touched');
  check('not yet expired', await text('long'), 'long');
}

async function testLogin() {
  if (!process.env.CLIENTS_USER) return;
  check('a wrong password is refused', await outcome(newClient({ password: 'wrong' }).set('k', 'v')), 'failed');
  check('who is logged in goes on', await newClient().set('k', 'v'), true);
}

async function testServer() {
  const stats = await new Promise((resolve, reject) => {
    client.stats((error, server, found) => (error ? reject(error) : resolve(found)));
  });
  check('stats', Number(stats.curr_items) > 0 && Number(stats.get_hits) > 0, true);
  check('the version in stats', /^\d+\.\d+\.\d+/.test(stats.version), true);
  await client.set('flushed', 'x');
  await settle();
  check('flush', await client.flush(), { [ADDRESS]: true });
  check('set right after it', await client.set('fresh', 'y'), true);
  check('get of what was flushed', await text('flushed'), null);
  check('get of what came after', await text('fresh'), 'y');
  client.quit();
}

run([testValues, testStores, testCounters, testExpiry, testLogin, testServer]);
