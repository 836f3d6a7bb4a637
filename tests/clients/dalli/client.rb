# frozen_string_literal: true

# Dalli: the binary protocol over TCP and unix sockets, SASL, marshalled types, compression, cas blocks, quiet sets.
require 'dalli'

$stdout.sync = true
$stderr.sync = true
Dalli.logger.level = Logger::FATAL

ADDRESS = ENV['CLIENTS_SOCKET'].to_s.empty? ? "#{ENV['CLIENTS_HOST']}:#{ENV['CLIENTS_PORT']}" : ENV['CLIENTS_SOCKET']
LOGIN = ENV['CLIENTS_USER'].to_s.empty? ? {} : { username: ENV['CLIENTS_USER'], password: ENV['CLIENTS_PASSWORD'] }

def check(name, got, want)
  if got == want
    puts "ok #{name}"
  else
    puts "not ok #{name}: #{got.inspect[0, 160]} instead of #{want.inspect[0, 160]}"
  end
end

def check_raises(name, exception)
  got = yield
  puts "not ok #{name}: #{got.inspect[0, 160]} instead of an exception"
rescue exception
  puts "ok #{name}"
end

def settle
  puts 'settle'
  exit 1 unless $stdin.gets == "settled\n"
end

def new_client(**options)
  Dalli::Client.new(ADDRESS, { socket_timeout: 10, socket_failure_delay: nil }.merge(LOGIN).merge(options))
end

def test_values(client)
  stored = { 'string' => "gr\u00fc\u00dfe", 'empty' => '', 'bytes' => (0..255).map(&:chr).join.b, 'int' => 42,
             'float' => 2.5, 'nil' => nil, 'true' => true, 'array' => [1, 'two', { three: 4 }], 'symbol' => :symbol,
             'huge' => 10**40, 'line-ends' => "a\r\nEND\r\n", 'k' * 250 => 'longest key',
             "schl\u00fcssel" => 'unicode key', 'large' => Random.new(7).bytes(900_000) }
  stored.each { |key, value| check("set #{key[0, 10].b.inspect}", client.set(key, value) ? true : false, true) }
  settle
  stored.each { |key, value| check("get #{key[0, 10].b.inspect}", client.get(key), value) }
  settle
  found = client.get_multi(*stored.keys)
  check('get_multi of all', found.transform_keys { |key| key.dup.force_encoding('UTF-8') }, stored)
  check('get of a missing key', client.get('missing'), nil)
  check('fetch of a missing key', client.fetch('fetched', 100) { 'made' }, 'made')
  settle
  check('fetch of what is there', client.fetch('fetched', 100) { 'other' }, 'made')
  check('a long key is hashed by the client', client.set('k' * 300, 'long') ? client.get('k' * 300) : nil, 'long')
end

def test_compression
  client = new_client(compress: true, namespace: 'packed')
  text = 'compress me ' * 300_000
  check('set compressed, over 1 MB before', client.set('text', text) ? true : false, true)
  settle
  check('get compressed', client.get('text'), text)
  raw = new_client(namespace: 'raw')
  raw.set('text', 'plain', nil, raw: true)
  settle
  check('get raw', raw.get('text', raw: true), 'plain')
end

def test_multi(client)
  many = (0...200).to_h { |number| ["many-#{number}", "value #{number}"] }
  client.multi { many.each { |key, value| client.set(key, value) } }
  settle
  check('get_multi after quiet sets', client.get_multi(*many.keys, 'many-missing'), many)
  settle
  client.multi { many.keys.first(100).each { |key| client.delete(key) } }
  check('get_multi after quiet deletes', client.get_multi(*many.keys), many.drop(100).to_h)
end

def test_stores(client)
  raw = { raw: true }
  client.set('there', 'old', nil, raw)
  settle
  check('add of what is there', client.add('there', 'new') ? true : false, false)
  check('add of what is missing', client.add('added', 'new') ? true : false, true)
  check('replace of what is missing', [0, nil, false].include?(client.replace('absent', 'new')), true)
  check('replace of what is there', client.replace('there', 'middle', nil, raw) ? true : false, true)
  settle
  check('append', client.append('there', '>'), true)
  settle
  check('prepend', client.prepend('there', '<'), true)
  check('append to a missing key', client.append('absent', 'x') ? true : false, false)
  settle
  check('get what was put together', client.get('there', raw), '<middle>')
  settle
  check('delete', client.delete('there'), true)
  check('delete once more', client.delete('there') || false, false)
  check('get of what was deleted', client.get('there'), nil)
end

def test_cas(client)
  client.set('cas', 1)
  settle
  value, unique = client.get_cas('cas')
  check('get_cas', value, 1)
  settle
  check('cas with a block', client.cas('cas') { |old| old + 1 } ? true : false, true)
  settle
  check('set_cas with an old unique', client.set_cas('cas', 9, unique), false)
  check('cas of a missing key', client.cas('absent') { 1 }, nil)
  check('get_cas of a missing key', client.get_cas('absent'), [nil, 0])
  settle
  value, unique = client.get_cas('cas')
  check('get after cas', value, 2)
  settle
  check('replace_cas', client.replace_cas('cas', 3, unique) ? true : false, true)
  check('delete_cas with an old unique', client.delete_cas('cas', unique), false)
  found = client.get_multi_cas('cas', 'absent')
  check('get_multi_cas', found.transform_values(&:first), { 'cas' => 3 })
  check('delete_cas', client.delete_cas('cas', found['cas'].last), true)
end

def test_counters(client)
  client.set('count', 10, nil, raw: true)
  settle
  check('incr', client.incr('count', 5), 15)
  settle
  check('decr', client.decr('count', 7), 8)
  settle
  check('decr stops at zero', client.decr('count', 100), 0)
  check('incr of a missing key', client.incr('absent'), nil)
  check('incr with a default', client.incr('made', 1, nil, 7), 7)
  settle
  check('incr after it', client.incr('made', 1, nil, 7), 8)
  client.set('words', 'no number', nil, raw: true)
  settle
  check_raises('incr of no number', Dalli::DalliError) { client.incr('words') }
  check('the connection goes on', client.get('words', raw: true), 'no number')
end

def test_expiry(client)
  { 'short' => 3, 'touched' => 3, 'gat' => 3, 'long' => 100 }.each { |key, ttl| client.set(key, key, ttl) }
  settle
  check('touch', client.touch('touched', 100) ? true : false, true)
  check('touch of a missing key', client.touch('absent', 100), nil)
  check('gat', client.gat('gat', 100), 'gat')
  check('gat of a missing key', client.gat('absent', 100), nil)
  settle
  sleep 4.2
  check('expired', client.get('short'), nil)
  check('touched in time', client.get('touched'), 'touched')
  check('gat in time', client.get('gat'), 'gat')
  check('not yet expired', client.get('long'), 'long')
end

def test_login
  return if LOGIN.empty?

  check_raises('a wrong password is refused', Dalli::DalliError) { new_client(password: 'wrong').set('k', 'v') }
  check_raises('a stranger is refused', Dalli::DalliError) { Dalli::Client.new(ADDRESS).set('k', 'v') }
  check('who is logged in goes on', new_client.set('k', 'v') ? true : false, true)
end

# First of all: afterwards the runner counts what flash has answered.
def test_reset(client)
  client.set('k', 'v')
  client.get('k')
  check('reset_stats', client.reset_stats.first, true)
  check('statistics begin anew', client.stats.values.first['get_hits'], '0')
end

def test_server(client)
  stats = client.stats.values.first
  check('stats', stats['curr_items'].to_i.positive? && stats['get_hits'].to_i.positive?, true)
  check('stats settings', client.stats(:settings).values.first['item_size_max'], '1048576')
  check('stats items', client.stats(:items).values.first.keys.all?(/\Aitems:\d+:/), true)
  check('stats slabs', client.stats(:slabs).values.first['active_slabs'].to_i.positive?, true)
  check('version', client.version.values.first.match?(/\A\d+\.\d+\.\d+/), true)
  client.set('flushed', 'x')
  settle
  client.flush
  check('set right after flush', client.set('fresh', 'y') ? true : false, true)
  check('get of what was flushed', client.get('flushed'), nil)
  check('get of what came after', client.get('fresh'), 'y')
  check('alive', client.alive!.nil?, false)
  check_raises('a value over 1 MB is refused', Dalli::ValueOverMaxSize) do
    Dalli::Client.new(ADDRESS, LOGIN.merge(compress: false)).set('limit', Random.new(7).bytes(1024 * 1024 + 1))
  end
  client.close
end

client = new_client
test_reset(client)
test_values(client)
test_compression
test_multi(client)
test_stores(client)
test_cas(client)
test_counters(client)
test_expiry(client)
test_login
test_server(client)
puts 'done'
