// Loaded before the C library (LD_PRELOAD), to count what C allocates too: AWS-LC calls malloc itself, unseen by
// a Rust allocator. The counters live in a file that is mapped here and read there.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

struct counters {
  uint64_t allocations;
  // With the allocator's own header of 8 bytes, as far as still allocated.
  int64_t live_bytes;
};
static struct counters before_main;
static struct counters *counters = &before_main;

static void *made(void *memory) {
  if (memory) {
    __atomic_fetch_add(&counters->allocations, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counters->live_bytes, malloc_usable_size(memory) + 8, __ATOMIC_RELAXED);
  }
  return memory;
}

static void gone(void *memory) {
  if (memory) __atomic_fetch_sub(&counters->live_bytes, malloc_usable_size(memory) + 8, __ATOMIC_RELAXED);
}

void *malloc(size_t size) { return made(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return made(__libc_calloc(count, size)); }
void *memalign(size_t align, size_t size) { return made(__libc_memalign(align, size)); }
void *aligned_alloc(size_t align, size_t size) { return made(__libc_memalign(align, size)); }
int posix_memalign(void **memory, size_t align, size_t size) {
  return (*memory = made(__libc_memalign(align, size))) ? 0 : ENOMEM;
}
void free(void *memory) {
  gone(memory);
  __libc_free(memory);
}
void *realloc(void *old, size_t size) {
  size_t had = old ? malloc_usable_size(old) + 8 : 0;
  void *memory = __libc_realloc(old, size);
  if (memory || size == 0) __atomic_fetch_sub(&counters->live_bytes, had, __ATOMIC_RELAXED);
  return made(memory);
}

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("TLS_BENCHES_COUNTERS");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *map = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (map != MAP_FAILED) counters = map;
}
