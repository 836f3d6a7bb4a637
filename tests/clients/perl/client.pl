#!/usr/bin/perl
# Cache::Memcached::Fast: multi variants of everything, gat and gats, compression, frozen structures, nowait.
use strict;
use warnings;
use utf8;
use Cache::Memcached::Fast;
use Compress::Zlib;
use Storable;

$| = 1;
binmode STDOUT, ':utf8';
my $address = $ENV{CLIENTS_SOCKET} || "$ENV{CLIENTS_HOST}:$ENV{CLIENTS_PORT}";

sub show {
    my ($value) = @_;
    return 'undef' unless defined $value;
    return '{' . join(', ', map { "$_ => " . show($value->{$_}) } sort keys %$value) . '}' if ref $value eq 'HASH';
    return '[' . join(', ', map { show($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return "$value";
}

# The prototype puts every call that is checked into scalar context.
sub check($$$) {
    my ($name, $got, $want) = @_;
    my ($shown, $wanted) = (show($got), show($want));
    if ($shown eq $wanted) {
        print "ok $name\n";
        return;
    }
    s/[^\x20-\x7e]/./g for $shown, $wanted;
    print "not ok $name: ", substr($shown, 0, 160), ' instead of ', substr($wanted, 0, 160), "\n";
}

sub is_true { return $_[0] ? 1 : 0 }

sub settle {
    print "settle\n";
    my $answer = <STDIN>;
    exit 1 unless defined $answer && $answer eq "settled\n";
}

sub new_client {
    return Cache::Memcached::Fast->new({ servers => [$address], io_timeout => 10, connect_timeout => 10, @_ });
}

sub incompressible {
    my ($size) = @_;
    srand 7;
    return join '', map { chr int rand 256 } 1 .. $size;
}

sub test_values {
    my ($client) = @_;
    my %stored = (
        text => 'value', empty => '', bytes => join('', map { chr } 0 .. 255), 'line-ends' => "a\r\nEND\r\n",
        array => [1, 'two', { three => 4 }], ('k' x 249) => 'longest key', large => incompressible(700_000));
    for my $key (sort keys %stored) {
        check('set ' . substr($key, 0, 10), is_true($client->set($key, $stored{$key})), 1);
    }
    settle();
    for my $key (sort keys %stored) {
        check('get ' . substr($key, 0, 10), $client->get($key), $stored{$key});
    }
    settle();
    check('get_multi of all', $client->get_multi(keys %stored), \%stored);
    check('get of a missing key', $client->get('missing'), undef);
    my $unicode = new_client(utf8 => 1);
    check('set of characters', is_true($unicode->set('utf8', "grüße \x{4e16}")), 1);
    settle();
    check('get of characters', $unicode->get('utf8'), "grüße \x{4e16}");
}

sub test_compression {
    my $client = new_client(compress_threshold => 1000, namespace => 'packed:');
    my $text = 'compress me ' x 100_000;
    check('set compressed', is_true($client->set('text', $text)), 1);
    settle();
    check('get compressed', $client->get('text'), $text);
}

sub test_multi {
    my ($client) = @_;
    my %many = map { ("many-$_" => "value $_") } 0 .. 199;
    my $results = $client->set_multi(map { [$_, $many{$_}] } keys %many);
    check('set_multi', scalar(grep { $_ } values %$results), 200);
    settle();
    check('get_multi', $client->get_multi(keys %many, 'many-missing'), \%many);
    settle();
    my @gone = map { "many-$_" } 0 .. 99;
    check('delete_multi', scalar(grep { $_ } $client->delete_multi(@gone)), 100);
    delete @many{@gone};
    check('get_multi after delete_multi', $client->get_multi(keys %many, @gone), \%many);
    my @added = $client->add_multi(['many-150', 'new'], ['many-new', 'new']);
    check('add_multi', [map { is_true($_) } @added], [0, 1]);
    my @appended = $client->append_multi(['many-150', '>'], ['many-none', '>']);
    check('append_multi', [map { is_true($_) } @appended], [1, 0]);
}

sub test_stores {
    my ($client) = @_;
    $client->set('there', 'old');
    settle();
    check('add of what is there', is_true($client->add('there', 'new')), 0);
    check('add of what is missing', is_true($client->add('added', 'new')), 1);
    check('replace of what is missing', is_true($client->replace('absent', 'new')), 0);
    check('replace of what is there', is_true($client->replace('there', 'middle')), 1);
    settle();
    check('append', is_true($client->append('there', '>')), 1);
    settle();
    check('prepend', is_true($client->prepend('there', '<')), 1);
    check('append to a missing key', is_true($client->append('absent', 'x')), 0);
    settle();
    check('get what was put together', $client->get('there'), '<middle>');
    settle();
    check('delete', is_true($client->delete('there')), 1);
    check('delete once more', is_true($client->delete('there')), 0);
    check('get of what was deleted', $client->get('there'), undef);
}

sub test_cas {
    my ($client) = @_;
    $client->set('cas', 'one');
    settle();
    my ($unique, $value) = @{ $client->gets('cas') };
    check('gets', $value, 'one');
    settle();
    check('cas with the unique', is_true($client->cas('cas', $unique, 'two')), 1);
    settle();
    check('cas with an old unique', is_true($client->cas('cas', $unique, 'three')), 0);
    check('cas of a missing key', is_true($client->cas('absent', $unique, 'x')), 0);
    check('gets_multi', { map { $_->[1] => 1 } values %{ $client->gets_multi('cas', 'absent') } }, { two => 1 });
    check('gets of a missing key', $client->gets('absent'), undef);
}

sub test_counters {
    my ($client) = @_;
    $client->set('count', 10);
    settle();
    check('incr', $client->incr('count', 5), 15);
    settle();
    check('decr', $client->decr('count', 7), 8);
    settle();
    check('decr stops at zero', is_true($client->decr('count', 100) == 0), 1);
    check('incr of a missing key', is_true($client->incr('absent')), 0);
    $client->set_multi(['one', 1], ['two', 2]);
    settle();
    check('incr_multi', [$client->incr_multi(['one', 10], ['two', 10])], [11, 12]);
    settle();
    check('decr_multi', [$client->decr_multi(['one', 1], ['two', 1])], [10, 11]);
}

sub test_expiry {
    my ($client) = @_;
    $client->set($_, $_, 3) for qw(short touched gat gats);
    $client->set('long', 'long', 100);
    settle();
    check('touch', is_true($client->touch('touched', 100)), 1);
    check('touch of a missing key', is_true($client->touch('absent', 100)), 0);
    check('gat', scalar $client->gat(100, 'gat'), 'gat');
    check('gats', ($client->gats(100, 'gats') || [])->[1], 'gats');
    check('gat_multi', $client->gat_multi(100, 'gat', 'absent'), { gat => 'gat' });
    settle();
    select undef, undef, undef, 4.2;
    check('expired', $client->get('short'), undef);
    check('the others in time', $client->get_multi(qw(touched gat gats long)),
        { map { $_ => $_ } qw(touched gat gats long) });
}

sub test_nowait {
    my $client = new_client(nowait => 1);
    $client->set("nowait-$_", $_) for 1 .. 50;
    $client->delete("nowait-$_") for 1 .. 25;
    $client->nowait_push;
    settle();
    check('after sets and deletes without waiting', $client->get_multi(map { "nowait-$_" } 1 .. 50),
        { map { ("nowait-$_" => $_) } 26 .. 50 });
}

sub test_server {
    my ($client) = @_;
    check('server_versions', is_true((values %{ $client->server_versions })[0] =~ /^\d+\.\d+\.\d+/), 1);
    $client->set('flushed', 'x');
    settle();
    check('flush_all', is_true((values %{ $client->flush_all })[0]), 1);
    check('set right after it', is_true($client->set('fresh', 'y')), 1);
    check('get of what was flushed', $client->get('flushed'), undef);
    check('get of what came after', $client->get('fresh'), 'y');
    $client->disconnect_all;
    check('get after connecting again', $client->get('fresh'), 'y');
}

my $client = new_client();
test_values($client);
test_compression();
test_multi($client);
test_stores($client);
test_cas($client);
test_counters($client);
test_expiry($client);
test_nowait();
test_server($client);
print "done\n";
