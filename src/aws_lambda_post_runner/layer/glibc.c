/* The functions that Debian's CPython calls and that Amazon Linux 2, with glibc 2.26, does not have, or only in libraries
   that would have to be loaded at each start. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* With 64-bit offsets, which these processors have anyway, it is fcntl. */
int fcntl64(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl(fd, command, argument);
}

/* A kernel that lacks one of these three answers ENOSYS, which CPython is prepared for. */

int close_range(unsigned first, unsigned last, int flags)
{
    return syscall(SYS_close_range, first, last, flags);
}

int memfd_create(const char *name, unsigned flags)
{
    return syscall(SYS_memfd_create, name, flags);
}

ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags)
{
    return syscall(SYS_copy_file_range, in, in_offset, out, out_offset, length, flags);
}

/* Waits by the clock on the wall where the monotonic one is asked for, as CPython itself did before this function
   existed: a wait can then be too short or too long by what the clock is set meanwhile. */
int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    struct timespec now, wall;
    clock_gettime(clock, &now);
    clock_gettime(CLOCK_REALTIME, &wall);
    wall.tv_sec += until->tv_sec - now.tv_sec;
    wall.tv_nsec += until->tv_nsec - now.tv_nsec;
    if (wall.tv_nsec < 0) {
        wall.tv_nsec += 1000000000;
        wall.tv_sec--;
    } else if (wall.tv_nsec >= 1000000000) {
        wall.tv_nsec -= 1000000000;
        wall.tv_sec++;
    }
    return sem_timedwait(semaphore, &wall);
}

#ifdef __x86_64__
/* The one function of a compiler's library that CPython calls. We do without that library, for its memcpy would take the
   place of libc's, which knows the processor. */
int __popcountdi2(unsigned long long bits)
{
    int count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}
#endif

/* libdl's. All modules in C are linked in, so nothing is ever loaded. */

void *dlopen(const char *path, int flags)
{
    return NULL;
}

void *dlsym(void *library, const char *name)
{
    return NULL;
}

char *dlerror(void)
{
    return "nothing can be loaded into this executable";
}

/* libutil's. Nobody opens a terminal. */

int openpty(int *terminal, int *user, char *name, const void *settings, const void *size)
{
    errno = ENOSYS;
    return -1;
}

int forkpty(int *terminal, char *name, const void *settings, const void *size)
{
    errno = ENOSYS;
    return -1;
}

int login_tty(int fd)
{
    errno = ENOSYS;
    return -1;
}
