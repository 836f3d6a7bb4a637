// spymemcached: text, binary and SASL PLAIN; Java's types, compression, futures, bulk gets, optimistic mutation.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Serializable;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import net.spy.memcached.CASMutation;
import net.spy.memcached.CASMutator;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.FailureMode;
import net.spy.memcached.MemcachedClient;
import net.spy.memcached.auth.AuthDescriptor;
import net.spy.memcached.auth.PlainCallbackHandler;
import net.spy.memcached.transcoders.SerializingTranscoder;

public final class SpyClient {
  private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));
  private static final boolean IS_BINARY = "binary".equals(System.getenv("CLIENTS_PROTOCOL"));
  private static final int TTL_S = 3;
  private static final int TTL_OVER_MS = 4200;

  private static void check(String name, Object got, Object want) {
    if (Objects.deepEquals(got, want)) {
      System.out.println("ok " + name);
    } else {
      System.out.println("not ok " + name + ": " + brief(got) + " instead of " + brief(want));
    }
  }

  private static String brief(Object value) {
    String text = String.valueOf(value).replaceAll("[^ -~]", ".");
    return text.length() > 160 ? text.substring(0, 160) + "..." : text;
  }

  /** What a call gives, or the word for its failure: for calls whose failing is the right answer. */
  private static Object outcome(Callable<Object> call) {
    try {
      return call.call();
    } catch (Exception error) {
      return "failed";
    }
  }

  private static void settle() throws IOException {
    System.out.println("settle");
    if (!"settled".equals(INPUT.readLine())) {
      throw new IOException("the runner did not settle the items");
    }
  }

  private static MemcachedClient newClient(String password) throws IOException {
    ConnectionFactoryBuilder builder = new ConnectionFactoryBuilder()
        .setProtocol(IS_BINARY ? ConnectionFactoryBuilder.Protocol.BINARY : ConnectionFactoryBuilder.Protocol.TEXT)
        .setOpTimeout(15000).setFailureMode(FailureMode.Retry).setDaemon(true).setTimeoutExceptionThreshold(10);
    String user = System.getenv("CLIENTS_USER");
    if (!user.isEmpty()) {
      builder.setAuthDescriptor(new AuthDescriptor(new String[] {"PLAIN"}, new PlainCallbackHandler(user, password)));
    }
    InetSocketAddress address =
        new InetSocketAddress(System.getenv("CLIENTS_HOST"), Integer.parseInt(System.getenv("CLIENTS_PORT")));
    return new MemcachedClient(builder.build(), List.of(address));
  }

  private static void testValues(MemcachedClient client) throws Exception {
    byte[] allBytes = new byte[256];
    for (int i = 0; i < allBytes.length; i++) {
      allBytes[i] = (byte) i;
    }
    byte[] large = new byte[900_000];
    new Random(7).nextBytes(large);
    Map<String, Object> stored = new HashMap<>();
    stored.put("string", "gr\u00fc\u00dfe \u4e16\u754c");
    stored.put("empty", "");
    stored.put("bytes", allBytes);
    stored.put("int", 42);
    stored.put("long", Long.MIN_VALUE);
    stored.put("boolean", true);
    stored.put("double", 2.5);
    stored.put("date", new Date(1234567890123L));
    stored.put("list", new ArrayList<Serializable>(Arrays.asList(1, "two", 3.0)));
    stored.put("large", large);
    stored.put("packed", "compress me ".repeat(200_000));
    stored.put("k".repeat(250), "longest key");
    for (Map.Entry<String, Object> each : stored.entrySet()) {
      check("set " + brief(each.getKey()).substring(0, 3), client.set(each.getKey(), 0, each.getValue()).get(), true);
    }
    settle();
    for (Map.Entry<String, Object> each : stored.entrySet()) {
      check("get " + brief(each.getKey()).substring(0, 3), client.get(each.getKey()), each.getValue());
    }
    settle();
    List<String> keys = new ArrayList<>(stored.keySet());
    keys.add("missing");
    Map<String, Object> found = client.getBulk(keys);
    check("getBulk finds all", found.keySet(), stored.keySet());
    for (Map.Entry<String, Object> each : stored.entrySet()) {
      check("getBulk " + each.getKey().substring(0, 3), found.get(each.getKey()), each.getValue());
    }
    check("get of a missing key", client.get("missing"), null);
    SerializingTranscoder plain = new SerializingTranscoder(8 * 1024 * 1024);
    plain.setCompressionThreshold(Integer.MAX_VALUE);
    MemcachedClient other = newClient(System.getenv("CLIENTS_PASSWORD"));  // it hangs up on a server's error
    Object refused = outcome(() -> other.set("limit", 0, new byte[1024 * 1024 + 1], plain).get());
    check("a value over 1 MB is refused", Boolean.TRUE.equals(refused), false);
    other.shutdown();
    check("others go on", client.get("int"), 42);
  }

  private static void testManyFutures(MemcachedClient client) throws Exception {
    List<Future<Boolean>> sets = new ArrayList<>();
    for (int i = 0; i < 500; i++) {
      sets.add(client.set("many-" + i, 0, i));
    }
    int stored = 0;
    for (Future<Boolean> set : sets) {
      stored += set.get() ? 1 : 0;
    }
    check("500 sets under way", stored, 500);
    settle();
    List<Future<Object>> gets = new ArrayList<>();
    for (int i = 0; i < 500; i++) {
      gets.add(client.asyncGet("many-" + i));
    }
    int right = 0;
    for (int i = 0; i < 500; i++) {
      right += Integer.valueOf(i).equals(gets.get(i).get()) ? 1 : 0;
    }
    check("500 gets under way", right, 500);
  }

  private static void testStores(MemcachedClient client) throws Exception {
    client.set("there", 0, "old").get();
    settle();
    check("add of what is there", client.add("there", 0, "new").get(), false);
    check("add of what is missing", client.add("added", 0, "new").get(), true);
    check("replace of what is missing", client.replace("absent", 0, "new").get(), false);
    check("replace of what is there", client.replace("there", 0, "middle").get(), true);
    settle();
    check("append", client.append("there", ">").get(), true);
    settle();
    check("prepend", client.prepend("there", "<").get(), true);
    check("append to a missing key", client.append("absent", "x").get(), false);
    settle();
    check("get what was put together", client.get("there"), "<middle>");
    settle();
    check("delete", client.delete("there").get(), true);
    check("delete once more", client.delete("there").get(), false);
    check("get of what was deleted", client.get("there"), null);
  }

  private static void testCas(MemcachedClient client) throws Exception {
    client.set("cas", 0, "one").get();
    settle();
    CASValue<Object> found = client.gets("cas");
    check("gets", found.getValue(), "one");
    settle();
    check("cas with the unique", client.cas("cas", found.getCas(), "two"), CASResponse.OK);
    settle();
    check("cas with an old unique", client.cas("cas", found.getCas(), "three"), CASResponse.EXISTS);
    check("cas of a missing key", client.cas("absent", found.getCas(), "x"), CASResponse.NOT_FOUND);
    check("gets of a missing key", client.gets("absent"), null);
    settle();
    CASMutator<Object> mutator = new CASMutator<>(client, client.getTranscoder());
    CASMutation<Object> mutation = current -> current + "!";
    check("a mutation by gets and cas", mutator.cas("cas", "", 0, mutation), "two!");
  }

  private static void testCounters(MemcachedClient client) throws Exception {
    client.set("count", 0, "10").get();
    settle();
    check("incr", client.incr("count", 5), 15L);
    settle();
    check("decr", client.decr("count", 7), 8L);
    settle();
    check("decr stops at zero", client.decr("count", 100), 0L);
    check("incr of a missing key", client.incr("absent", 1), -1L);
    check("incr with a default", client.incr("made", 1, 7L, 100), 7L);
    settle();
    check("incr after it", client.incr("made", 1, 7L, 100), 8L);
    check("asyncDecr", client.asyncDecr("made", 3).get(), 5L);
  }

  private static void testExpiry(MemcachedClient client) throws Exception {
    for (String key : List.of("short", "touched", "gat")) {
      client.set(key, TTL_S, key).get();
    }
    client.set("long", 100, "long").get();
    settle();
    check("touch", client.touch("touched", 100).get(), true);
    check("touch of a missing key", client.touch("absent", 100).get(), false);
    if (IS_BINARY) {
      check("getAndTouch", client.getAndTouch("gat", 100).getValue(), "gat");
      check("getAndTouch of a missing key", client.getAndTouch("absent", 100), null);
    } else {
      System.out.println("skip getAndTouch: spymemcached has it in the binary protocol only");
      client.touch("gat", 100).get();
    }
    settle();
    Thread.sleep(TTL_OVER_MS);
    check("expired", client.get("short"), null);
    check("touched in time", client.get("touched"), "touched");
    check("gat in time", client.get("gat"), "gat");
    check("not yet expired", client.get("long"), "long");
  }

  private static void testLogin(MemcachedClient client) throws Exception {
    if (System.getenv("CLIENTS_USER").isEmpty()) {
      return;
    }
    check("the server's mechanisms", client.listSaslMechanisms().contains("PLAIN"), true);
    MemcachedClient stranger = newClient("wrong");
    Object refused = outcome(() -> stranger.set("k", 0, "v").get(2, TimeUnit.SECONDS));
    check("a wrong password is refused", Boolean.TRUE.equals(refused), false);
    stranger.shutdown();
    MemcachedClient again = newClient(System.getenv("CLIENTS_PASSWORD"));
    check("who is logged in goes on", again.set("k", 0, "v").get(), true);
    again.shutdown();
  }

  private static void testServer(MemcachedClient client) throws Exception {
    Map<String, String> stats = client.getStats().values().iterator().next();
    check("stats", Long.parseLong(stats.get("curr_items")) > 0 && Long.parseLong(stats.get("get_hits")) > 0, true);
    check("stats settings", client.getStats("settings").values().iterator().next().get("item_size_max"), "1048576");
    String version = client.getVersions().values().iterator().next();
    check("version", version.matches("\\d+\\.\\d+\\.\\d+.*"), true);
    client.set("flushed", 0, "x").get();
    settle();
    check("flush", client.flush().get(), true);
    check("set right after it", client.set("fresh", 0, "y").get(), true);
    check("get of what was flushed", client.get("flushed"), null);
    check("get of what came after", client.get("fresh"), "y");
  }

  public static void main(String[] arguments) throws Exception {
    Logger.getLogger("net.spy.memcached").setLevel(Level.OFF);
    System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
    MemcachedClient client = newClient(System.getenv("CLIENTS_PASSWORD"));
    testValues(client);
    testManyFutures(client);
    testStores(client);
    testCas(client);
    testCounters(client);
    testExpiry(client);
    testServer(client);
    testLogin(client);
    client.shutdown();
    System.out.println("done");
    System.exit(0);
  }
}
