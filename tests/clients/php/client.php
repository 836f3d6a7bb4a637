<?php
// php-memcached, which is libmemcached: text, binary and SASL; PHP's types, compression, serializers, sessions' casts.
declare(strict_types=1);
error_reporting(E_ALL);

$isBinary = getenv('CLIENTS_PROTOCOL') === 'binary';

// The same value of the same type; of an array in any order.
function isSame(mixed $got, mixed $want): bool {
    if (is_array($got) && is_array($want)) {
        return count($got) === count($want)
            && array_filter($want, fn($key) => !isSame($got[$key] ?? null, $want[$key]), ARRAY_FILTER_USE_KEY) === [];
    }
    return is_object($want) ? $got == $want : $got === $want;
}

function check(string $name, mixed $got, mixed $want): void {
    if (isSame($got, $want)) {
        echo "ok $name\n";
        return;
    }
    $show = fn($value) => substr(str_replace("\n", ' ', var_export($value, true)), 0, 160);
    echo "not ok $name: ", $show($got), ' instead of ', $show($want), "\n";
}

function settle(): void {
    echo "settle\n";
    if (fgets(STDIN) !== "settled\n") {
        exit(1);
    }
}

function newClient(array $options = [], bool $isLoggedIn = true): Memcached {
    global $isBinary;
    $client = new Memcached();
    $client->setOptions([Memcached::OPT_BINARY_PROTOCOL => $isBinary, Memcached::OPT_POLL_TIMEOUT => 10000,
                         Memcached::OPT_TCP_NODELAY => true]);
    if ($isLoggedIn && getenv('CLIENTS_USER') !== '') {
        $client->setSaslAuthData(getenv('CLIENTS_USER'), getenv('CLIENTS_PASSWORD'));
    }
    foreach ($options as $option => $value) {
        $client->setOption($option, $value);
    }
    $socket = getenv('CLIENTS_SOCKET');
    $socket !== '' ? $client->addServer($socket, 0)
                   : $client->addServer(getenv('CLIENTS_HOST'), (int)getenv('CLIENTS_PORT'));
    return $client;
}

function incompressible(int $size): string {
    mt_srand(7);
    $bytes = '';
    while (strlen($bytes) < $size) {
        $bytes .= pack('V', mt_rand());
    }
    return substr($bytes, 0, $size);
}

function testValues(Memcached $client): void {
    $stored = ['string' => "gr\u{fc}\u{df}e \u{4e16}", 'empty' => '',
               'bytes' => implode('', array_map('chr', range(0, 255))),
               'int' => 42, 'minus' => -7, 'float' => 2.5, 'true' => true, 'false' => false, 'null' => null,
               'array' => [1, 'two', ['three' => 4.5]], 'object' => new ArrayObject([1, 2]),
               'line-ends' => "a\r\nEND\r\n", str_repeat('k', 250) => 'longest key', 'large' => incompressible(900000),
               'long' => str_repeat('compress me ', 200000)];
    foreach ($stored as $key => $value) {
        check('set ' . substr($key, 0, 10), $client->set($key, $value), true);
    }
    settle();
    foreach ($stored as $key => $value) {
        check('get ' . substr($key, 0, 10), $client->get($key), $value);
        check('it was found: ' . substr($key, 0, 10), $client->getResultCode(), Memcached::RES_SUCCESS);
    }
    settle();
    check('getMulti of all', $client->getMulti(array_keys($stored)), $stored);
    check('get of a missing key', $client->get('missing'), false);
    check('it was not found', $client->getResultCode(), Memcached::RES_NOTFOUND);
    check('get of a missing key with a callback', $client->get('made', function ($client, $key, &$value) {
        $value = 'made';
        return true;
    }), 'made');
    check('the callback stored it', $client->get('made'), 'made');
}

function testSerializers(): void {
    foreach (['php' => Memcached::SERIALIZER_PHP, 'json' => Memcached::SERIALIZER_JSON_ARRAY,
              'igbinary' => Memcached::SERIALIZER_IGBINARY] as $name => $serializer) {
        foreach (['fastlz' => Memcached::COMPRESSION_FASTLZ, 'zlib' => Memcached::COMPRESSION_ZLIB] as $how => $type) {
            $client = newClient([Memcached::OPT_SERIALIZER => $serializer, Memcached::OPT_COMPRESSION_TYPE => $type,
                                 Memcached::OPT_PREFIX_KEY => "$name-$how:"]);
            $value = ['list' => range(1, 5000), 'text' => str_repeat('compress me ', 500)];
            check("$name, $how: set", $client->set('value', $value), true);
            settle();
            check("$name, $how: get", $client->get('value'), $value);
        }
    }
}

function testMulti(Memcached $client): void {
    $many = [];
    for ($number = 0; $number < 200; $number++) {
        $many["many-$number"] = "value $number";
    }
    $keys = array_keys($many);
    check('setMulti', $client->setMulti($many), true);
    settle();
    check('getMulti', $client->getMulti([...$keys, 'many-missing']), $many);
    settle();
    $inOrder = $client->getMulti(array_reverse($keys), Memcached::GET_PRESERVE_ORDER);
    check('getMulti in order', implode(' ', array_keys($inOrder)),
          implode(' ', array_reverse($keys)));
    settle();
    check('getDelayed', $client->getDelayed(['many-1', 'many-2'], true), true);
    $found = [];
    foreach ($client->fetchAll() as $row) {
        $found[$row['key']] = $row['value'];
        check('a unique of ' . $row['key'], $row['cas'] > 0, true);
    }
    check('fetchAll', $found, ['many-1' => 'value 1', 'many-2' => 'value 2']);
    settle();
    $gone = array_slice($keys, 0, 100);
    check('deleteMulti', $client->deleteMulti($gone), array_fill_keys($gone, true));
    check('getMulti after deleteMulti', $client->getMulti($keys), array_slice($many, 100));
}

function testStores(): void {
    $client = newClient([Memcached::OPT_COMPRESSION => false]);
    $client->set('there', 'old');
    settle();
    check('add of what is there', $client->add('there', 'new'), false);
    check('add of what is missing', $client->add('added', 'new'), true);
    check('replace of what is missing', $client->replace('absent', 'new'), false);
    check('replace of what is there', $client->replace('there', 'middle'), true);
    settle();
    check('append', $client->append('there', '>'), true);
    settle();
    check('prepend', $client->prepend('there', '<'), true);
    check('append to a missing key', $client->append('absent', 'x'), false);
    settle();
    check('get what was put together', $client->get('there'), '<middle>');
    settle();
    check('delete', $client->delete('there'), true);
    check('delete once more', $client->delete('there'), false);
    check('get of what was deleted', $client->get('there'), false);
}

function testCas(Memcached $client): void {
    $client->set('cas', 'one');
    settle();
    $found = $client->get('cas', null, Memcached::GET_EXTENDED);
    check('get with its unique', $found['value'], 'one');
    settle();
    check('cas with the unique', $client->cas($found['cas'], 'cas', 'two'), true);
    settle();
    check('cas with an old unique', $client->cas($found['cas'], 'cas', 'three'), false);
    check('the reason', $client->getResultCode(), Memcached::RES_DATA_EXISTS);
    check('cas of a missing key', $client->cas($found['cas'], 'absent', 'x'), false);
    check('get after cas', $client->get('cas'), 'two');
    $client->setOption(Memcached::OPT_USER_FLAGS, 1);
    check('set with user flags', $client->set('flags', 'x', 0), true);
    settle();
    check('the user flags', $client->get('flags', null, Memcached::GET_EXTENDED)['flags'], 1);
    $client->setOption(Memcached::OPT_USER_FLAGS, -1);
}

function testCounters(Memcached $client): void {
    global $isBinary;
    $client->set('count', 10);
    settle();
    check('increment', $client->increment('count', 5), 15);
    settle();
    check('decrement', $client->decrement('count', 7), 8);
    settle();
    check('decrement stops at zero', $client->decrement('count', 100), 0);
    check('increment of a missing key', $client->increment('absent'), false);
    if ($isBinary) {
        check('increment with an initial value', $client->increment('made-count', 1, 7, 100), 7);
        settle();
        check('increment after it', $client->increment('made-count', 1, 7, 100), 8);
    }
    $client->set('words', 'no number');
    settle();
    check('increment of no number', $client->increment('words'), false);
    check('the connection goes on', $client->get('words'), 'no number');
}

function testExpiry(Memcached $client): void {
    foreach (['short' => 3, 'touched' => 3, 'long' => 100, 'absolute' => time() + 100] as $key => $ttl) {
        $client->set($key, $key, $ttl);
    }
    settle();
    check('touch', $client->touch('touched', 100), true);
    check('touch of a missing key', $client->touch('absent', 100), false);
    usleep(4200000);
    check('expired', $client->get('short'), false);
    check('touched in time', $client->get('touched'), 'touched');
    check('not yet expired', $client->get('long'), 'long');
    check('an absolute exptime', $client->get('absolute'), 'absolute');
}

function testLogin(): void {
    if (getenv('CLIENTS_USER') === '') {
        return;
    }
    check('a stranger is refused', newClient([], false)->set('k', 'v'), false);
    $wrong = newClient([], false);
    $wrong->setSaslAuthData(getenv('CLIENTS_USER'), 'wrong');
    check('a wrong password is refused', $wrong->set('k', 'v'), false);
    check('who is logged in goes on', newClient()->set('k', 'v'), true);
}

function testServer(Memcached $client): void {
    $stats = array_values($client->getStats())[0];
    check('stats', (int)$stats['curr_items'] > 0 && (int)$stats['get_hits'] > 0, true);
    check('version', preg_match('/^\d+\.\d+\.\d+/', array_values($client->getVersion())[0]), 1);
    $client->set('flushed', 'x');
    settle();
    check('flush', $client->flush(), true);
    check('set right after it', $client->set('fresh', 'y'), true);
    check('get of what was flushed', $client->get('flushed'), false);
    check('get of what came after', $client->get('fresh'), 'y');
    $client->setOption(Memcached::OPT_COMPRESSION, false);
    check('a value over 1 MB is refused', $client->set('limit', str_repeat('x', 1024 * 1024 + 1)), false);
    check('set after that', $client->set('limit', 'after'), true);
    check('get after that', $client->get('limit'), 'after');
    $client->quit();
}

$client = newClient();
testValues($client);
testSerializers();
testMulti($client);
testStores();
testCas($client);
testCounters($client);
testExpiry($client);
testLogin();
testServer($client);
echo "done\n";
