// The fault library: preloaded into the daemon under test, it makes calls fail that concern files below one directory,
// threads or memory, as FaultControl says. What RocksDB and the C++ library call is met as well as our own calls; what
// libc calls within itself (stdio) is not.
// Threads: any. Errors: without the variables of fault_control.h everything passes.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/faults/fault_control.h"

extern "C" {
void* __libc_malloc(size_t bytes);                      // NOLINT: glibc's own names
void* __libc_calloc(size_t count, size_t bytes);        // NOLINT
void* __libc_realloc(void* old, size_t bytes);          // NOLINT
void* __libc_memalign(size_t alignment, size_t bytes);  // NOLINT
}

namespace {

using namespace terraced::support;  // NOLINT: the library is one file

FaultControl* g_control = nullptr;
char g_below[PATH_MAX];
size_t g_below_bytes = 0;

__attribute__((constructor)) void Begin() {
  const char* const path = getenv(kFaultVariable);
  const char* const below = getenv(kFaultDirectoryVariable);
  if (path == nullptr || below == nullptr) return;
  g_below_bytes = static_cast<size_t>(snprintf(g_below, sizeof(g_below), "%s", below));
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* const at = mmap(nullptr, sizeof(FaultControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED) g_control = static_cast<FaultControl*>(at);
}

bool Concerns(uint32_t calls) {
  return g_control != nullptr && (g_control->calls.load(std::memory_order_acquire) & calls) != 0;
}

// Counts; false: this one is let through.
bool Breaks() {
  if (g_control->let_through.load() > 0 && g_control->let_through.fetch_sub(1) > 0) return false;
  if (g_control->break_at_most.fetch_sub(1) <= 0) return false;
  g_control->broken.fetch_add(1);
  return true;
}

bool IsBelow(const char* path) {
  return strncmp(path, g_below, g_below_bytes) == 0;
}

bool IsBelow(int fd) {
  char link[64];
  char target[PATH_MAX];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t bytes = readlink(link, target, sizeof(target) - 1);
  if (bytes <= 0) return false;
  target[bytes] = '\0';
  return IsBelow(target);
}

bool IsBelow(int directory, const char* path) {
  return path[0] == '/' ? IsBelow(path) : directory != AT_FDCWD && IsBelow(directory);
}

// True: the call is to fail, and errno is set.
template <typename... Place>
bool Fails(uint32_t calls, Place... place) {
  if (!Concerns(calls) || !IsBelow(place...) || !Breaks()) return false;
  errno = g_control->error.load();
  return true;
}

bool FailsThread() {
  return Concerns(kFaultThread) && Breaks();
}

bool FailsMemory(size_t bytes) {
  if (bytes == 0 || !Concerns(kFaultMemory) || !Breaks()) return false;
  errno = ENOMEM;
  return true;
}

uint32_t OpenCalls(int flags) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
  return writes ? kFaultOpen | kFaultOpenToWrite : kFaultOpen;
}

// How much of a write is taken: all, or half of it.
size_t Taken(int fd, size_t bytes) {
  if (g_control == nullptr || g_control->half_writes.load() == 0 || bytes < 2 || !IsBelow(fd)) {
    return bytes;
  }
  g_control->broken.fetch_add(1);
  return bytes / 2;
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int Open(const char* name, int directory, const char* path, int flags, mode_t mode) {
  if (Fails(OpenCalls(flags), directory, path)) return -1;
  return Real<int (*)(int, const char*, int, mode_t)>(name)(directory, path, flags, mode);
}

}  // namespace

#define TERRACED_OPEN_MODE(flags, mode)         \
  mode_t mode = 0;                              \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) { \
    va_list arguments;                          \
    va_start(arguments, flags);                 \
    mode = va_arg(arguments, mode_t);           \
    va_end(arguments);                          \
  }

extern "C" {

int open(const char* path, int flags, ...) {
  TERRACED_OPEN_MODE(flags, mode)
  return Open("openat", AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  TERRACED_OPEN_MODE(flags, mode)
  return Open("openat64", AT_FDCWD, path, flags, mode);
}
int openat(int directory, const char* path, int flags, ...) {
  TERRACED_OPEN_MODE(flags, mode)
  return Open("openat", directory, path, flags, mode);
}
int openat64(int directory, const char* path, int flags, ...) {
  TERRACED_OPEN_MODE(flags, mode)
  return Open("openat64", directory, path, flags, mode);
}
FILE* fopen(const char* path, const char* mode) {
  const uint32_t calls =
      mode[0] == 'r' && mode[1] != '+' ? kFaultOpen : kFaultOpen | kFaultOpenToWrite;
  if (Fails(calls, path)) return nullptr;
  return Real<FILE* (*)(const char*, const char*)>("fopen")(path, mode);
}

ssize_t read(int fd, void* to, size_t bytes) {
  if (Fails(kFaultRead, fd)) return -1;
  return Real<ssize_t (*)(int, void*, size_t)>("read")(fd, to, bytes);
}
ssize_t pread(int fd, void* to, size_t bytes, off_t at) {
  if (Fails(kFaultRead, fd)) return -1;
  return Real<ssize_t (*)(int, void*, size_t, off_t)>("pread")(fd, to, bytes, at);
}
ssize_t pread64(int fd, void* to, size_t bytes, off64_t at) {
  if (Fails(kFaultRead, fd)) return -1;
  return Real<ssize_t (*)(int, void*, size_t, off64_t)>("pread64")(fd, to, bytes, at);
}

ssize_t write(int fd, const void* from, size_t bytes) {
  if (Fails(kFaultWrite, fd)) return -1;
  return Real<ssize_t (*)(int, const void*, size_t)>("write")(fd, from, Taken(fd, bytes));
}
ssize_t pwrite(int fd, const void* from, size_t bytes, off_t at) {
  if (Fails(kFaultWrite, fd)) return -1;
  return Real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite")(fd, from, Taken(fd, bytes),
                                                                      at);
}
ssize_t pwrite64(int fd, const void* from, size_t bytes, off64_t at) {
  if (Fails(kFaultWrite, fd)) return -1;
  return Real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64")(fd, from,
                                                                          Taken(fd, bytes), at);
}

int fsync(int fd) {
  return Fails(kFaultSync, fd) ? -1 : Real<int (*)(int)>("fsync")(fd);
}
int fdatasync(int fd) {
  return Fails(kFaultSync, fd) ? -1 : Real<int (*)(int)>("fdatasync")(fd);
}

int rename(const char* from, const char* to) {
  if (Fails(kFaultNames, to)) return -1;
  return Real<int (*)(const char*, const char*)>("rename")(from, to);
}
int renameat(int from_directory, const char* from, int to_directory, const char* to) {
  if (Fails(kFaultNames, to_directory, to)) return -1;
  return Real<int (*)(int, const char*, int, const char*)>("renameat")(from_directory, from,
                                                                       to_directory, to);
}
int link(const char* from, const char* to) {
  if (Fails(kFaultNames, to)) return -1;
  return Real<int (*)(const char*, const char*)>("link")(from, to);
}
int unlink(const char* path) {
  if (Fails(kFaultNames, path)) return -1;
  return Real<int (*)(const char*)>("unlink")(path);
}
int unlinkat(int directory, const char* path, int flags) {
  if (Fails(kFaultNames, directory, path)) return -1;
  return Real<int (*)(int, const char*, int)>("unlinkat")(directory, path, flags);
}
int mkdir(const char* path, mode_t mode) {
  if (Fails(kFaultNames, path)) return -1;
  return Real<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}
int mkdirat(int directory, const char* path, mode_t mode) {
  if (Fails(kFaultNames, directory, path)) return -1;
  return Real<int (*)(int, const char*, mode_t)>("mkdirat")(directory, path, mode);
}

int fallocate(int fd, int mode, off_t at, off_t bytes) {
  if (Fails(kFaultReserve, fd)) return -1;
  return Real<int (*)(int, int, off_t, off_t)>("fallocate")(fd, mode, at, bytes);
}
int posix_fallocate(int fd, off_t at, off_t bytes) {
  if (Fails(kFaultReserve, fd)) return errno;
  return Real<int (*)(int, off_t, off_t)>("posix_fallocate")(fd, at, bytes);
}
int ftruncate(int fd, off_t bytes) noexcept {
  if (Fails(kFaultReserve, fd)) return -1;
  return Real<int (*)(int, off_t)>("ftruncate")(fd, bytes);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* given) noexcept {
  if (FailsThread()) return EAGAIN;
  return Real<int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>(
      "pthread_create")(thread, attributes, run, given);
}

void* malloc(size_t bytes) noexcept {
  return FailsMemory(bytes) ? nullptr : __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) noexcept {
  return FailsMemory(count * bytes) ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* old, size_t bytes) noexcept {
  return FailsMemory(bytes) ? nullptr : __libc_realloc(old, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  return FailsMemory(bytes) ? nullptr : __libc_memalign(alignment, bytes);
}

}  // extern "C"
