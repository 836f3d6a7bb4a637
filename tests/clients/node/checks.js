// What the npm clients' programs share: checks that are printed as tests/clients/run.py reads them.
'use strict';

const readline = require('readline');
const { isDeepStrictEqual, inspect } = require('util');

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function short(value) {
  return inspect(value).replace(/\s+/g, ' ').slice(0, 160);
}

function check(name, got, want) {
  process.stdout.write(isDeepStrictEqual(got, want)
    ? `ok ${name}\n` : `not ok ${name}: ${short(got)} instead of ${short(want)}\n`);
}

// What a call gives, or the word for its failure: for calls whose failing is the right answer.
async function outcome(promise) {
  try {
    return await promise;
  } catch (error) {
    return 'failed';
  }
}

// Everything stored so far lies in the tier under test when this is over.
async function settle() {
  process.stdout.write('settle\n');
  const { value } = await lines.next();
  if (value !== 'settled') throw new Error(`the runner did not settle the items: ${value}`);
}

function incompressible(size) {
  const bytes = Buffer.alloc(size);
  for (let i = 0, word = 7; i < size; i++) {
    word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
    bytes[i] = word >>> 24;
  }
  return bytes;
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Runs the tests one after the other; what is thrown ends the program, and the runner says so.
function run(tests) {
  (async () => {
    for (const test of tests) await test();
    process.stdout.write('done\n', () => process.exit(0));
  })().catch((error) => {
    process.stderr.write(`${error.stack}\n`, () => process.exit(1));
  });
}

module.exports = { check, outcome, settle, incompressible, wait, run, TTL_S: 3, TTL_OVER_MS: 4200 };
