/* Takes a snapshot of the interpreter's memory and brings it back: see snapshot.h for what it is.

   Only libpython's calls of malloc and its kin come here, by the linker's --wrap. While the snapshot is taken they are
   served from one stretch of memory at a fixed address, `HEAP`; afterwards by libc, and blocks from before that are
   freed are left where they are. The same build has to give the same bytes, so whatever is freed is set to zero: it may
   have held addresses of libc, random numbers or the time. */

#define _GNU_SOURCE
#include <Python.h>
#include "snapshot.h"
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* a kernel before 4.17 takes the address for a wish, and may give another */
#endif

/* Far above this executable and its brk, far below where kernels begin to map: with 39 bits of addresses, the fewest
   that an arm64 kernel is built with, too. A multiple of every page size. */
#define HEAP ((char *)0x1000000000)
#define HEAP_LIMIT ((size_t)256 << 20) /* twelve times of what is needed, to fail if something grows without end */
#define IN_HEAP(address) ((uintptr_t)(address) - (uintptr_t)HEAP < HEAP_LIMIT)

extern char **environ;
extern const unsigned char __ehdr_start[] __attribute__((visibility("hidden"))); /* the linker's: where we begin */
extern char _end[];                                                            /* the linker's: where our variables end */

/* --- Allocating while the snapshot is taken --- */

enum { UNIT = 16, PAGE = 4096, SMALL = PAGE / UNIT + 1, LARGE = 1024 + 1 };

struct free_block {
    struct free_block *next;
};

static int is_taking;
static char *heap_end;                 /* nothing at or after it has been given out */
static struct free_block *small[SMALL], *large[LARGE]; /* by their size in units, or in pages */

static size_t size_of(const void *block)
{
    return ((const size_t *)block)[-1];
}

/* Find the list for freed blocks of this rounded size; NULL if they are not kept. */
static struct free_block **list_of(size_t size)
{
    if (size <= PAGE)
        return &small[size / UNIT];
    return size / PAGE < LARGE ? &large[size / PAGE] : NULL;
}

static void *heap_allocate(size_t size)
{
    size_t step = size <= PAGE ? UNIT : PAGE;
    size = size == 0 ? UNIT : (size + step - 1) / step * step;
    struct free_block **list = list_of(size), *block = list ? *list : NULL;
    if (block != NULL) {
        *list = block->next;
        block->next = NULL;
        return block;
    }
    if (size > HEAP + HEAP_LIMIT - heap_end - UNIT)
        return NULL;
    char *start = heap_end + UNIT; /* the word before a block tells its size */
    ((size_t *)start)[-1] = size;
    heap_end = start + size;
    return start;
}

static void heap_free(void *block)
{
    struct free_block **list = list_of(size_of(block));
    memset(block, 0, size_of(block));
    if (list != NULL) {
        ((struct free_block *)block)->next = *list;
        *list = block;
    }
}

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void __real_free(void *);

void *__wrap_malloc(size_t size)
{
    return is_taking ? heap_allocate(size) : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (!is_taking)
        return __real_calloc(count, size);
    return size != 0 && count > HEAP_LIMIT / size ? NULL : heap_allocate(count * size); /* free blocks are zero */
}

void __wrap_free(void *block)
{
    if (!IN_HEAP(block))
        __real_free(block);
    else if (is_taking)
        heap_free(block);
}

void *__wrap_realloc(void *block, size_t size)
{
    if (block == NULL)
        return __wrap_malloc(size);
    if (!IN_HEAP(block))
        return __real_realloc(block, size);
    if (size <= size_of(block) && !is_taking)
        return block;
    void *moved = __wrap_malloc(size);
    if (moved != NULL) {
        memcpy(moved, block, size < size_of(block) ? size : size_of(block));
        __wrap_free(block);
    }
    return moved;
}

/* faulthandler keeps what this tells of the processor: the size of a signal's stack. Without it, it takes a usual one. */
unsigned long __real_getauxval(unsigned long);

unsigned long __wrap_getauxval(unsigned long type)
{
    return is_taking ? 0 : __real_getauxval(type);
}

enum { POOL = 16384 }; /* obmalloc's */

/* Python asks for whole arenas, in which it keeps small objects. */
static void *arena_allocate(void *context, size_t size)
{
    if (!is_taking) {
        void *arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return arena == MAP_FAILED ? NULL : arena;
    }
    char *arena = HEAP + (heap_end - HEAP + POOL - 1) / POOL * POOL; /* one that begins elsewhere loses a pool */
    if (size > (size_t)(HEAP + HEAP_LIMIT - arena))
        return NULL;
    heap_end = arena + size;
    return arena;
}

static void arena_free(void *context, void *arena, size_t size)
{
    if (!IN_HEAP(arena))
        munmap(arena, size);
    else if (is_taking)
        memset(arena, 0, size);
}

/* While the snapshot is taken these stand before Python's own allocator for small objects, to make zero what is freed
   there as well. How large a block is they note in a table, a byte for each unit of the heap. */

enum { OBJECT_LIMIT = 512 }; /* what is larger Python asks malloc for */

static const PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
enum { DOMAINS = sizeof domains / sizeof *domains };
static PyMemAllocatorEx originals[DOMAINS];
static uint8_t *units;

static uint8_t *units_of(void *block)
{
    return &units[((char *)block - HEAP) / UNIT];
}

static void *noted(void *block, size_t size)
{
    if (block != NULL && size <= OBJECT_LIMIT)
        *units_of(block) = size == 0 ? 1 : (size + UNIT - 1) / UNIT;
    return block;
}

static void *object_malloc(void *original, size_t size)
{
    PyMemAllocatorEx *allocator = original;
    return noted(allocator->malloc(allocator->ctx, size), size);
}

static void *object_calloc(void *original, size_t count, size_t size)
{
    PyMemAllocatorEx *allocator = original;
    return noted(allocator->calloc(allocator->ctx, count, size), count * size);
}

static void object_free(void *original, void *block)
{
    PyMemAllocatorEx *allocator = original;
    if (block != NULL && *units_of(block) != 0) {
        memset(block, 0, *units_of(block) * UNIT);
        *units_of(block) = 0;
    }
    allocator->free(allocator->ctx, block);
}

static void *object_realloc(void *original, void *block, size_t size)
{
    void *moved = object_malloc(original, size);
    if (block != NULL && moved != NULL) {
        size_t old = *units_of(block) != 0 ? *units_of(block) * UNIT : size_of(block);
        memcpy(moved, block, old < size ? old : size);
        object_free(original, block);
    }
    return moved;
}

/* Take all blocks that are free between others, for good. What is allocated at a start then lies together in pools of its
   own, instead of here and there on hundreds of pages that would each have to be copied first. */
static void fill_holes(void)
{
    for (size_t size = UNIT; size <= OBJECT_LIMIT; size += UNIT)
        for (;;) {
            void *block = PyObject_Malloc(size);
            const unsigned *in_use = (const void *)((uintptr_t)block / POOL * POOL); /* what a pool begins with */
            if (block == NULL || *in_use == 1) {
                PyObject_Free(block);
                break;
            }
            memset(block, 0, size);
        }
}

static void *map_or_die(char *address, size_t size)
{
    int fixed = address != NULL ? MAP_FIXED_NOREPLACE : 0;
    void *got = mmap(address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
    if (got == MAP_FAILED || (address != NULL && got != address)) {
        perror("mmap");
        exit(1);
    }
    return got;
}

/* Have libc allocate by mmap: behind our variables, where it would, addresses are small numbers, and bytecode that looks
   like them could not be told from a word that points there. */
static void keep_libc_from_brk(void)
{
    uintptr_t page = sysconf(_SC_PAGESIZE), end = (uintptr_t)sbrk(0);
    map_or_die((char *)((end + page - 1) / page * page), page);
}

void snapshot_begin(void)
{
    keep_libc_from_brk();
    heap_end = map_or_die(HEAP, HEAP_LIMIT);
    units = map_or_die(NULL, HEAP_LIMIT / UNIT);
    is_taking = 1;
    PyObjectArenaAllocator arenas = {NULL, arena_allocate, arena_free};
    PyObject_SetArenaAllocator(&arenas);
    for (int i = 0; i < DOMAINS; i++) {
        PyMem_GetAllocator(domains[i], &originals[i]);
        PyMemAllocatorEx zeroing = {&originals[i], object_malloc, object_calloc, object_realloc, object_free};
        PyMem_SetAllocator(domains[i], &zeroing);
    }
}

/* --- Writing it --- */

/* These are libc's, and the dynamic loader has copied them into our variables: they are others at each start. */
#ifdef __aarch64__
extern void *__stack_chk_guard; /* random; there x86_64 has a register for it */
#define OF_LIBC(X) X(stdin) X(stdout) X(stderr) X(environ) X(__stack_chk_guard)
#else
#define OF_LIBC(X) X(stdin) X(stdout) X(stderr) X(environ)
#endif

/* Find where our variables begin, behind what the loader writes and then protects. */
static char *variables(void)
{
    const Elf64_Ehdr *header = (const void *)__ehdr_start;
    const Elf64_Phdr *segment = (const void *)(__ehdr_start + header->e_phoff);
    uintptr_t start = 0, protected_end = 0;
    for (int i = 0; i < header->e_phnum; i++) {
        if (segment[i].p_type == PT_LOAD && segment[i].p_flags & PF_W)
            start = segment[i].p_vaddr; /* the last one's: those before it are protected as a whole */
        if (segment[i].p_type == PT_GNU_RELRO)
            protected_end = segment[i].p_vaddr + segment[i].p_memsz;
    }
    return (char *)(protected_end > start && protected_end < (uintptr_t)_end ? protected_end : start);
}

static int write_whole(int fd, const char *from, size_t length)
{
    while (length > 0) {
        ssize_t count = write(fd, from, length);
        if (count <= 0)
            return -1;
        from += count, length -= count;
    }
    return 0;
}

/* Read what is mapped where; return the length, 0 if it cannot be read whole. */
static size_t read_mappings(char *into, size_t room)
{
    size_t length = 0;
    ssize_t count = -1;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && length < room && (count = read(fd, into + length, room - length)) > 0)
        length += count;
    close(fd);
    return count == 0 ? length : 0;
}

int snapshot_write(int fd)
{
    static char mappings[1 << 16];
    char *data = variables();
    fill_holes();
    for (int i = 0; i < DOMAINS; i++)
        PyMem_SetAllocator(domains[i], &originals[i]);
    munmap(units, HEAP_LIMIT / UNIT);
    units = NULL;
    is_taking = 0;
#define STASH(name) void *volatile name##_now = name; name = NULL;
    OF_LIBC(STASH)
#undef STASH
    size_t data_length = _end - data, heap_length = heap_end - HEAP;
    char *copy = __real_malloc(data_length);
    memcpy(copy, data, data_length);
#define BACK(name) name = name##_now;
    OF_LIBC(BACK)
#undef BACK
    size_t mappings_length = read_mappings(mappings, sizeof mappings);
    uint64_t head[] = {(uintptr_t)data, data_length, (uintptr_t)HEAP, heap_length, mappings_length};
    if (write_whole(fd, (const char *)head, sizeof head) != 0 || write_whole(fd, copy, data_length) != 0
        || write_whole(fd, HEAP, heap_length) != 0 || write_whole(fd, mappings, mappings_length) != 0) {
        perror("write");
        return 1;
    }
    return 0;
}

/* --- Bringing it back --- */

/* layer/snapshot.py finds this in the file by its first bytes, and fills in the rest. */
struct place {
    char magic[16];
    char seal[16];   /* the same in the image: so we do not take another file for ours */
    uint64_t offset; /* in this file, of the image; 0 if there is none */
};
static const struct place place = {"POSTRUNNERPLACE", "", 0};

static const struct place *this_place(void)
{
    const struct place *found = &place;
    __asm__("" : "+r"(found)); /* the compiler must not take what is above for what will be in the file */
    return found;
}

/* What is in the file at `place.offset`: where to bring what. A part of the heap that no run names is zero. */
enum { RUNS_LIMIT = 160 };
struct run {
    uint64_t address, length, offset;
};
struct image {
    char seal[16];
    uint64_t data_start, data_length, heap_length, changes_offset, changes_length, runs_count;
    struct run runs[RUNS_LIMIT];
};
/* How the variables differ from those of an executable that has just been started: such changes, one after another, each
   followed by its bytes, which are whole words. Most variables are as they were, and their pages stay the file's. */
struct change {
    uint32_t offset, length;
};

int snapshot_is_attached(void)
{
    return this_place()->offset != 0;
}

static const char *map_heap(int fd, const struct image *image)
{
    const int protection = PROT_READ | PROT_WRITE;
    void *got = mmap(HEAP, image->heap_length, protection,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != HEAP) {
        if (got != MAP_FAILED)
            munmap(got, image->heap_length);
        return "its memory cannot be mapped at the fixed address";
    }
    const struct run *run = image->runs;
    for (uint64_t i = 0; i < image->runs_count; i++, run++)
        if (mmap((void *)run->address, run->length, protection, MAP_PRIVATE | MAP_FIXED, fd, run->offset) == MAP_FAILED) {
            munmap(HEAP, image->heap_length);
            return "its part of the file cannot be mapped";
        }
    return NULL;
}

static void change_variables(const char *changes, const struct image *image)
{
    const char *end = changes + image->changes_length;
    while (changes < end) {
        const struct change *change = (const void *)changes;
        changes += sizeof *change;
        memcpy((char *)image->data_start + change->offset, changes, change->length);
        changes += change->length;
    }
}

/* Bring heap and variables, or neither. */
static const char *bring(int fd, const struct image *image)
{
    char *changes = mmap(NULL, image->changes_length, PROT_READ, MAP_PRIVATE, fd, image->changes_offset);
    if (changes == MAP_FAILED)
        return "its changes of variables cannot be mapped";
    const char *problem = map_heap(fd, image);
    if (problem == NULL)
        change_variables(changes, image);
    munmap(changes, image->changes_length);
    return problem;
}

const char *snapshot_restore(void)
{
    if (!snapshot_is_attached())
        return "it has none";
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return "/proc/self/exe cannot be opened";
    /* Read ahead, in large pieces, what else would be read in small ones when it is touched. */
    posix_fadvise(fd, this_place()->offset, 0, POSIX_FADV_WILLNEED);
    struct image image;
    const char *problem = NULL;
    if (pread(fd, &image, sizeof image, this_place()->offset) != sizeof image
        || memcmp(image.seal, this_place()->seal, sizeof image.seal) != 0)
        problem = "/proc/self/exe is another file";
    else if ((char *)image.data_start != variables() || image.data_length != (size_t)(_end - variables()))
        problem = "its variables are elsewhere";
    else
        problem = bring(fd, &image);
    close(fd);
    return problem;
}
