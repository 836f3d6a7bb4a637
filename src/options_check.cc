// What a single row cannot know: options against each other and against the filesystem.
#include <algorithm>
#include <string>

#include "src/net/address.h"
#include "src/option_value.h"
#include "src/options.h"
#include "storage/ram/slab_arena.h"
#include "tiering/demoter.h"

namespace terraced::server {
namespace {

constexpr uint64_t kMegabyte = 1ULL << 20;
constexpr uint32_t kChunkAlign = 8;  // chunk sizes are multiples of it, as in memcached
constexpr uint32_t kFlashBatchBytesMin = 64U << 10;
constexpr uint32_t kLruPercentMax = 80;

Status Refuse(std::string message) {
  return Status(StatusCode::kInvalidArgument, std::move(message));
}

Status CheckItemSizes(const storage::SlabOptions& slabs) {
  const std::string item = FormatBytes(slabs.item_bytes_max);
  if (slabs.item_bytes_max > slabs.limit_bytes / 2) {
    const uint64_t least = (2ULL * slabs.item_bytes_max + kMegabyte - 1) / kMegabyte;
    return Refuse("-I " + item + " is more than half of -m: give -m " + std::to_string(least) +
                  " or more, or a smaller -I");
  }
  const uint32_t chunk = slabs.slab_chunk_bytes_max;
  if (chunk > slabs.item_bytes_max) {
    return Refuse("-o slab_chunk_max (" + FormatBytes(chunk) + ") is larger than -I (" + item +
                  "): give at most " + FormatBytes(slabs.item_bytes_max));
  }
  if (slabs.item_bytes_max % chunk != 0) {
    const uint32_t down = slabs.item_bytes_max - slabs.item_bytes_max % chunk;
    return Refuse("-I " + item + " is no multiple of slab_chunk_max (" + FormatBytes(chunk) +
                  "): give " + FormatBytes(down) + " or " + FormatBytes(uint64_t{down} + chunk));
  }
  if (slabs.chunk_bytes_min > chunk / 2) {
    return Refuse("-n " + FormatBytes(slabs.chunk_bytes_min) +
                  " is more than half of slab_chunk_max (" + FormatBytes(chunk) +
                  "): give at most " + FormatBytes(chunk / 2));
  }
  return Status();
}

Status CheckChunkSizes(const storage::SlabOptions& slabs) {
  // The class of slab_chunk_max itself is added behind the list, class 0 stays unused.
  constexpr size_t kSizesMax = storage::kSlabClassesMax - 2;
  if (slabs.slab_sizes.size() > kSizesMax) {
    return Refuse("-o slab_sizes names " + std::to_string(slabs.slab_sizes.size()) +
                  " sizes: give at most " + std::to_string(kSizesMax));
  }
  uint32_t last = 0;
  for (const uint32_t size : slabs.slab_sizes) {
    if (size < slabs.chunk_bytes_min || size > slabs.slab_chunk_bytes_max) {
      return Refuse("-o slab_sizes: " + std::to_string(size) + " is not between -n (" +
                    std::to_string(slabs.chunk_bytes_min) + ") and slab_chunk_max (" +
                    std::to_string(slabs.slab_chunk_bytes_max) + ")");
    }
    if (last != 0 && size <= last + kChunkAlign) {
      return Refuse("-o slab_sizes: " + std::to_string(size) + " after " + std::to_string(last) +
                    " is too small: give at least " + std::to_string(last + kChunkAlign + 1));
    }
    last = size;
  }
  return Status();
}

Status CheckFlash(const Options& options) {
  const tiering::CacheOptions& cache = options.cache;
  if (cache.flash_path.empty()) {
    if (cache.flash_size_bytes == 0) return Status();
    return Refuse("-o flash_size needs flash_path: name the directory of the flash tier");
  }
  if (cache.flash_batch_bytes != 0 && cache.flash_batch_bytes < kFlashBatchBytesMin) {
    return Refuse("-o flash_batch is " + FormatBytes(cache.flash_batch_bytes) +
                  ": give 0 or at least " + FormatBytes(kFlashBatchBytesMin));
  }
  if (cache.flash_batch_bytes > cache.slabs.limit_bytes / 2) {
    return Refuse("-o flash_batch (" + FormatBytes(cache.flash_batch_bytes) +
                  ") is more than half of -m: give at most " +
                  FormatBytes(cache.slabs.limit_bytes / 2));
  }
  TERRACED_RETURN_IF_ERROR(CheckLiveOptions(options));
  const uint64_t least = FlashSizeLeast(options);
  if (cache.flash_size_bytes != 0 && cache.flash_size_bytes < least) {
    return Refuse("-o flash_size " + FormatBytes(cache.flash_size_bytes) +
                  " is too small: give at least " + FormatBytes(least));
  }
  return Status();
}

Status CheckPorts(const ServerOptions& server) {
  if (!server.unix_socket.empty()) return Status();
  TERRACED_ASSIGN_OR_RETURN(const std::vector<ListenAddress> addresses, ListenAddresses(server));
  const bool any = std::any_of(addresses.begin(), addresses.end(),
                               [](const ListenAddress& address) { return address.port != 0; });
  for (const ListenAddress& address : addresses) {
    if (address.traits.tls == ListenTls::kAsConfigured || server.tls_enabled) continue;
    return Refuse("-l: notls:, btls: and mtls: need -Z: leave them out, nothing is encrypted");
  }
  if (server.tls_enabled && !any) {
    return Refuse("-Z needs a TCP port, and -p and -l name no port but 0: give -p a port, or -1");
  }
  if (any || server.udp_port != 0) return Status();
  return Refuse(
      "-p and -l name no port but 0, so nobody could connect: give -p a port, or -1, or -s");
}

Status CheckTls(const ServerOptions& server) {
  if (!server.tls_enabled) return Status();
  if (!server.unix_socket.empty()) return Refuse("-Z needs a TCP port: leave out -s, or -Z");
  if (server.tls.chain_cert.empty()) {
    return Refuse("-Z needs a certificate: name its file, -o ssl_chain_cert=FILE");
  }
  if (server.tls.key.empty()) {
    return Refuse("-Z needs the certificate's key: name its file, -o ssl_key=FILE");
  }
  return Status();
}

// A client logs in by the one protocol that has a way to, so no other may be spoken.
Status CheckLogin(Options* options) {
  const ServerOptions& server = options->server;
  if (!server.NeedsLogin()) return Status();
  if (server.sasl && !server.auth_file.empty()) {
    return Refuse("-S and -Y are for different protocols: give one of them");
  }
  const char* const option = server.sasl ? "-S" : "-Y";
  if (server.udp_port != 0) {
    return Refuse(std::string("-U: nobody can log in over UDP: leave it out, or ") + option);
  }
  const std::string protocol = server.sasl ? "binary" : "ascii";
  const BindingProtocol binding = server.sasl ? BindingProtocol::kBinary : BindingProtocol::kAscii;
  if (options->accepted.protocol_given && server.binding_protocol != binding) {
    return Refuse("-B " + options->accepted.protocol + ": You cannot allow the " +
                  (server.sasl ? "ASCII protocol while using SASL"
                               : "BINARY protocol while using ascii authentication tokens") +
                  ": leave -B out, " + option + " means " + protocol);
  }
  TERRACED_ASSIGN_OR_RETURN(const std::vector<ListenAddress> addresses, ListenAddresses(server));
  for (const ListenAddress& address : addresses) {
    if (address.traits.protocol.value_or(binding) == binding) continue;
    return Refuse(std::string("-l: ") + option + " means " + protocol +
                  ": leave proto[]: out, or give proto[" + protocol + "]:");
  }
  options->accepted.protocol = protocol;
  options->server.binding_protocol = binding;
  return Status();
}

}  // namespace

uint64_t FlashSizeLeast(const Options& options) {
  return kFlashBatchesLeast * tiering::Demoter::BatchBytes(options.cache);
}

Status CheckLiveOptions(const Options& options) {
  const tiering::CacheOptions& cache = options.cache;
  if (cache.flash_path.empty()) return Status();
  if (cache.flash_item_max_bytes != 0 && cache.flash_item_min_bytes > cache.flash_item_max_bytes) {
    return Refuse("-o flash_item_min (" + FormatBytes(cache.flash_item_min_bytes) +
                  ") is more than flash_item_max (" + FormatBytes(cache.flash_item_max_bytes) +
                  ")");
  }
  if (cache.flash_read_deadline_ms > cache.flash_wait_deadline_ms) {
    return Refuse("-o flash_read_deadline (" + std::to_string(cache.flash_read_deadline_ms) +
                  ") is more than flash_wait_deadline (" +
                  std::to_string(cache.flash_wait_deadline_ms) + ")");
  }
  return Status();
}

Status CheckOptions(Options* options) {
  tiering::CacheOptions& cache = options->cache;
  ServerOptions& server = options->server;
  if (server.udp_port != 0 && !server.tcp_port_given) server.tcp_port = server.udp_port;
  TERRACED_RETURN_IF_ERROR(CheckPorts(options->server));
  TERRACED_RETURN_IF_ERROR(CheckTls(options->server));
  TERRACED_RETURN_IF_ERROR(CheckLogin(options));
  if (options->accepted.napi_ids > options->server.worker_threads) {
    return Refuse("-N " + std::to_string(options->accepted.napi_ids) + " is more than -t (" +
                  std::to_string(options->server.worker_threads) + "): give at most as many");
  }
  TERRACED_RETURN_IF_ERROR(CheckItemSizes(cache.slabs));
  TERRACED_RETURN_IF_ERROR(CheckChunkSizes(cache.slabs));
  if (cache.hot_lru_pct + cache.warm_lru_pct > kLruPercentMax) {
    return Refuse("-o hot_lru_pct and warm_lru_pct add up to " +
                  std::to_string(cache.hot_lru_pct + cache.warm_lru_pct) + ": give at most " +
                  std::to_string(kLruPercentMax) + " together");
  }
  TERRACED_RETURN_IF_ERROR(CheckFlash(*options));
  cache.slabs.lock_memory = options->daemon.lock_memory;
  options->server.item_bytes_max = cache.slabs.item_bytes_max;
  return Status();
}

Status ResolveFlashSize(Options* options, const FlashSpace& space) {
  tiering::CacheOptions& cache = options->cache;
  const uint64_t usable = space.free_bytes + space.used_bytes;
  const uint64_t least = FlashSizeLeast(*options);
  if (cache.flash_size_bytes == 0) {
    const uint64_t quarter = usable / 4 / kMegabyte * kMegabyte;
    cache.flash_size_bytes = std::min(kFlashSizeDefaultBytes, quarter);
    if (cache.flash_size_bytes >= least) return Status();
    return Refuse("-o flash_path " + cache.flash_path + " has " +
                  std::to_string(usable / kMegabyte) + "m of free space: the flash tier needs " +
                  FormatBytes(4 * least) + ", or flash_size=" + FormatBytes(least) +
                  " said outright");
  }
  if (cache.flash_size_bytes <= usable) return Status();
  return Refuse("-o flash_size " + FormatBytes(cache.flash_size_bytes) +
                " is more than the free space of " + cache.flash_path + ": give at most " +
                std::to_string(usable / kMegabyte) + "m");
}

uint64_t ReplyMemoryBytes(const Options& options) {
  constexpr uint64_t kShare = 16;
  if (options.server.reply_memory_bytes != 0) return options.server.reply_memory_bytes;
  return std::max(kReplyMemoryLeastBytes, options.cache.slabs.limit_bytes / kShare);
}

uint64_t DescriptorsNeeded(const Options& options) {
  // A worker holds its epoll and its mailbox's eventfd.
  constexpr uint64_t kPerWorker = 4;
  uint64_t needed = kDescriptorsReserve + options.server.connections_max +
                    kPerWorker * options.server.worker_threads;
  if (!options.cache.flash_path.empty()) {
    needed += static_cast<uint64_t>(options.cache.flash_open_files_max);
  }
  return needed;
}

}  // namespace terraced::server
