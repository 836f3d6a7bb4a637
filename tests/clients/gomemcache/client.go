// gomemcache: flags, compare and swap, multi-gets, many goroutines on one client.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

var input = bufio.NewReader(os.Stdin)

func short(value interface{}) string {
	text := fmt.Sprintf("%q", fmt.Sprint(value))
	if len(text) > 160 {
		text = text[:160] + "..."
	}
	return text
}

func check(name string, got, want interface{}) {
	if fmt.Sprint(got) == fmt.Sprint(want) {
		fmt.Println("ok", name)
	} else {
		fmt.Printf("not ok %s: %s instead of %s\n", name, short(got), short(want))
	}
}

func settle() {
	fmt.Println("settle")
	if line, _ := input.ReadString('\n'); line != "settled\n" {
		os.Exit(1)
	}
}

// value is what a get finds, or its error in words.
func value(client *memcache.Client, key string) string {
	item, err := client.Get(key)
	if err != nil {
		return err.Error()
	}
	return string(item.Value)
}

func set(client *memcache.Client, key, text string) error {
	return client.Set(&memcache.Item{Key: key, Value: []byte(text)})
}

func testValues(client *memcache.Client) {
	allBytes := make([]byte, 256)
	for i := range allBytes {
		allBytes[i] = byte(i)
	}
	large := make([]byte, 900000)
	rand.New(rand.NewSource(7)).Read(large)
	stored := map[string][]byte{"text": []byte("grüße 世界"), "empty": {}, "bytes": allBytes, "large": large,
		"line-ends": []byte("a\r\nEND\r\n"), strings.Repeat("k", 250): []byte("longest key")}
	keys := []string{}
	for key, bytesOfKey := range stored {
		keys = append(keys, key)
		check("set "+key[:3], client.Set(&memcache.Item{Key: key, Value: bytesOfKey, Flags: 0xdeadbeef}), nil)
	}
	settle()
	for key, want := range stored {
		item, err := client.Get(key)
		check("get "+key[:3], err == nil && bytes.Equal(item.Value, want), true)
		check("flags of "+key[:3], err == nil && item.Flags == 0xdeadbeef, true)
	}
	settle()
	found, err := client.GetMulti(append(keys, "missing"))
	check("GetMulti", err, nil)
	check("GetMulti finds all", len(found), len(stored))
	for key, item := range found {
		check("GetMulti "+key[:3], bytes.Equal(item.Value, stored[key]), true)
	}
	check("get of a missing key", value(client, "missing"), memcache.ErrCacheMiss)
	check("a key of 251 bytes is refused", value(client, strings.Repeat("k", 251)), memcache.ErrMalformedKey)
}

func testStores(client *memcache.Client) {
	set(client, "there", "old")
	settle()
	item := func(key, text string) *memcache.Item { return &memcache.Item{Key: key, Value: []byte(text)} }
	check("add of what is there", client.Add(item("there", "new")), memcache.ErrNotStored)
	check("add of what is missing", client.Add(item("added", "new")), nil)
	check("replace of what is missing", client.Replace(item("absent", "new")), memcache.ErrNotStored)
	check("replace of what is there", client.Replace(item("there", "newer")), nil)
	settle()
	check("get what was replaced", value(client, "there"), "newer")
	settle()
	check("delete", client.Delete("there"), nil)
	check("delete once more", client.Delete("there"), memcache.ErrCacheMiss)
	check("get of what was deleted", value(client, "there"), memcache.ErrCacheMiss)
}

func testCompareAndSwap(client *memcache.Client) {
	set(client, "cas", "one")
	settle()
	first, err := client.Get("cas")
	second, _ := client.Get("cas")
	check("get before the swap", err, nil)
	settle()
	first.Value = []byte("two")
	check("CompareAndSwap", client.CompareAndSwap(first), nil)
	settle()
	second.Value = []byte("three")
	check("CompareAndSwap that comes late", client.CompareAndSwap(second), memcache.ErrCASConflict)
	check("get after the swap", value(client, "cas"), "two")
	client.Delete("cas")
	check("CompareAndSwap of a missing key", client.CompareAndSwap(second), memcache.ErrCacheMiss)
}

func testCounters(client *memcache.Client) {
	set(client, "count", "10")
	settle()
	counted := func(number uint64, err error) string { return fmt.Sprint(number, err) }
	check("Increment", counted(client.Increment("count", 5)), "15 <nil>")
	settle()
	check("Decrement", counted(client.Decrement("count", 7)), "8 <nil>")
	settle()
	check("Decrement stops at zero", counted(client.Decrement("count", 100)), "0 <nil>")
	_, err := client.Increment("absent", 1)
	check("Increment of a missing key", err, memcache.ErrCacheMiss)
	set(client, "words", "no number")
	settle()
	_, err = client.Increment("words", 1)
	check("Increment of no number", err != nil && strings.Contains(err.Error(), "non-numeric"), true)
	check("the connection goes on", value(client, "words"), "no number")
}

func testExpiry(client *memcache.Client) {
	for _, key := range []string{"short", "touched"} {
		client.Set(&memcache.Item{Key: key, Value: []byte(key), Expiration: 3})
	}
	client.Set(&memcache.Item{Key: "absolute", Value: []byte("x"), Expiration: int32(time.Now().Unix() + 100)})
	settle()
	check("Touch", client.Touch("touched", 100), nil)
	check("Touch of a missing key", client.Touch("absent", 100), memcache.ErrCacheMiss)
	settle()
	time.Sleep(4200 * time.Millisecond)
	check("expired", value(client, "short"), memcache.ErrCacheMiss)
	check("touched in time", value(client, "touched"), "touched")
	check("an absolute exptime", value(client, "absolute"), "x")
}

func testGoroutines(client *memcache.Client) {
	const perGoroutine = 50
	wrong := make([]int, 16)
	each := func(run func(number int, key string)) {
		var group sync.WaitGroup
		for number := range wrong {
			group.Add(1)
			go func(number int) {
				defer group.Done()
				for i := 0; i < perGoroutine; i++ {
					run(number, fmt.Sprintf("go-%d-%d", number, i))
				}
			}(number)
		}
		group.Wait()
	}
	each(func(number int, key string) {
		if set(client, key, key) != nil {
			wrong[number]++
		}
	})
	settle()
	each(func(number int, key string) {
		if value(client, key) != key {
			wrong[number]++
		}
	})
	check("sets and gets of many goroutines", wrong, make([]int, len(wrong)))
}

func testFlush(client *memcache.Client) {
	set(client, "flushed", "x")
	settle()
	check("FlushAll", client.FlushAll(), nil)
	check("set right after it", set(client, "fresh", "y"), nil)
	check("get of what was flushed", value(client, "flushed"), memcache.ErrCacheMiss)
	check("get of what came after", value(client, "fresh"), "y")
	tooLarge := set(client, "limit", strings.Repeat("x", 1024*1024+1))
	check("a value over 1 MB is refused", tooLarge != nil, true)
	check("set after that", set(client, "limit", "after"), nil)
	settle()
	check("DeleteAll", client.DeleteAll(), nil)
	check("get after it", value(client, "fresh"), memcache.ErrCacheMiss)
}

func main() {
	address := os.Getenv("CLIENTS_SOCKET")
	if address == "" {
		address = os.Getenv("CLIENTS_HOST") + ":" + os.Getenv("CLIENTS_PORT")
	}
	client := memcache.New(address)
	client.Timeout = 10 * time.Second
	for _, test := range []func(*memcache.Client){testValues, testStores, testCompareAndSwap, testCounters,
		testExpiry, testGoroutines, testFlush} {
		test(client)
	}
	fmt.Println("done")
}
