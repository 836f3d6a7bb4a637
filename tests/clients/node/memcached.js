// The npm package memcached: the text protocol, JSON and numbers by client flags, gets and cas, parsed statistics.
'use strict';

process.noDeprecation = true; // the package still says new Buffer()
const path = require('path');
const { promisify } = require('util');
const Memcached = require(path.join(process.argv[2], 'memcached'));
const { check, outcome, settle, incompressible, wait, run, TTL_S, TTL_OVER_MS } = require('./checks');

const ADDRESS = `${process.env.CLIENTS_HOST}:${process.env.CLIENTS_PORT}`;
const memcached = new Memcached(ADDRESS, { timeout: 10000, retries: 0, poolSize: 4 });
const client = {};
for (const name of ['get', 'gets', 'getMulti', 'set', 'add', 'replace', 'append', 'prepend', 'cas', 'incr', 'decr',
  'del', 'touch', 'version', 'stats', 'settings', 'slabs', 'items', 'flush']) {
  client[name] = promisify(memcached[name].bind(memcached));
}

async function testValues() {
  const stored = {
    text: 'grüße 世界', number: 42, float: 2.5, json: { list: [1, 'two', null], deep: { yes: true } }, array: [1, 2],
    bytes: Buffer.from([...Array(256).keys()]), 'line-ends': 'a\r\nEND\r\n',
    ['k'.repeat(250)]: 'longest key', large: 'x'.repeat(1000000), noise: incompressible(500000),
  };
  for (const [key, value] of Object.entries(stored)) {
    check(`set ${key.slice(0, 5)}`, await client.set(key, value, 1000), true);
  }
  await settle();
  for (const [key, value] of Object.entries(stored)) check(`get ${key.slice(0, 5)}`, await client.get(key), value);
  await settle();
  check('getMulti of all', await client.getMulti([...Object.keys(stored), 'missing']), stored);
  check('get of a missing key', await client.get('missing'), undefined);
  await client.set('k'.repeat(251), 'hashed by the client', 1000);
  await settle();
  check('get with a long key', await client.get('k'.repeat(251)), 'hashed by the client');
}

async function testStores() {
  await client.set('there', 'old', 100);
  await settle();
  check('add of what is there', await outcome(client.add('there', 'new', 100)), 'failed');
  check('add of what is missing', await client.add('added', 'new', 100), true);
  check('replace of what is missing', await outcome(client.replace('absent', 'new', 100)), 'failed');
  check('replace of what is there', await client.replace('there', 'middle', 100), true);
  await settle();
  check('append', await client.append('there', '>'), true);
  await settle();
  check('prepend', await client.prepend('there', '<'), true);
  check('append to a missing key', await outcome(client.append('absent', 'x')), 'failed');
  await settle();
  check('get what was put together', await client.get('there'), '<middle>');
  await settle();
  check('del', await client.del('there'), true);
  check('del once more', await client.del('there'), false);
  check('get of what was deleted', await client.get('there'), undefined);
}

async function testCas() {
  await client.set('swapped', 'one', 100);
  await settle();
  const found = await client.gets('swapped');
  // The package puts value and unique into one object, so a key named cas would hide its value.
  check('gets', found.swapped, 'one');
  await settle();
  check('cas with the unique', await client.cas('swapped', 'two', found.cas, 100), true);
  await settle();
  check('cas with an old unique', await client.cas('swapped', 'three', found.cas, 100), false);
  check('cas of a missing key', await client.cas('absent', 'x', found.cas, 100), false);
  check('get after cas', await client.get('swapped'), 'two');
}

async function testCounters() {
  await client.set('count', 10, 100);
  await settle();
  check('incr', await client.incr('count', 5), 15);
  await settle();
  check('decr', await client.decr('count', 7), 8);
  await settle();
  check('decr stops at zero', await client.decr('count', 100), 0);
  check('incr of a missing key', await client.incr('absent', 1), false);
  await client.set('words', 'no number', 100);
  await settle();
  check('incr of no number', await outcome(client.incr('words', 1)), 'failed');
  check('the connection goes on', await client.get('words'), 'no number');
}

async function testExpiry() {
  for (const key of ['short', 'touched']) await client.set(key, key, TTL_S);
  await client.set('long', 'long', 100);
  await settle();
  check('touch', await client.touch('touched', 100), true);
  check('touch of a missing key', await client.touch('absent', 100), false);
  await settle();
  await wait(TTL_OVER_MS);
  check('expired', await client.get('short'), undefined);
  check('touched in time', await client.get('touched'), 'touched');
  check('not yet expired', await client.get('long'), 'long');
}

async function testServer() {
  const [version] = await client.version();
  check('version', /^\d+\.\d+\.\d+$/.test(version.version), true);
  const [stats] = await client.stats();
  check('stats', stats.curr_items > 0 && stats.get_hits > 0 && stats.limit_maxbytes > 0, true);
  const [settings] = await client.settings();
  check('stats settings', settings.item_size_max, 1048576);
  const [slabs] = await client.slabs();
  check('stats slabs', Object.values(slabs).some((one) => one.chunk_size > 0 && one.total_pages > 0), true);
  await client.set('in-ram', 'x', 100);
  const [items] = await client.items();
  const classes = Object.keys(items).filter((name) => name !== 'server');
  check('stats items', classes.length > 0 && classes.every((name) => items[name].number >= 0), true);
  await client.set('flushed', 'x', 100);
  await settle();
  check('flush', await client.flush(), [true]);
  check('set right after it', await client.set('fresh', 'y', 100), true);
  check('get of what was flushed', await client.get('flushed'), undefined);
  check('get of what came after', await client.get('fresh'), 'y');
  memcached.end();
}

run([testValues, testStores, testCas, testCounters, testExpiry, testServer]);
