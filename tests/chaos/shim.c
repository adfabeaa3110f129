/* Preloaded into a process under test: power loss, slow disks and clocks that jump.
 *
 * VERBATIM_SHIM names a file of `struct control` that all processes map. For each file that is
 * fsynced its size at the beginning of that fsync is recorded: after a kill the tester cuts the
 * file back to it, which is what a loss of power may leave of the page cache. The wall clock is
 * shifted; the monotonic clock, as in reality, is not.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 1024

struct slot {
    int64_t inode;
    int64_t synced;
};

struct control {
    int64_t clock_shift_us;
    int64_t fsync_delay_us;
    int64_t fsyncs;
    struct slot slots[SLOTS];
};

static struct control *control;

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_sem_timedwait)(sem_t *, const struct timespec *);

__attribute__((constructor)) static void start(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_sem_timedwait = dlsym(RTLD_NEXT, "sem_timedwait");
    const char *path = getenv("VERBATIM_SHIM");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) control = mapped;
}

static void record(ino_t inode, off_t size) {
    for (size_t probe = 0; probe < SLOTS; probe++) {
        struct slot *slot = &control->slots[((size_t)inode + probe) % SLOTS];
        if (slot->inode == (int64_t)inode || slot->inode == 0) {
            slot->inode = (int64_t)inode;
            slot->synced = (int64_t)size;
            return;
        }
    }
}

static int sync_with(int (*real)(int), int file) {
    struct stat before;
    if (!control || fstat(file, &before) != 0 || !S_ISREG(before.st_mode)) return real(file);
    if (control->fsync_delay_us > 0) {
        struct timespec delay = {control->fsync_delay_us / 1000000,
                                 control->fsync_delay_us % 1000000 * 1000};
        nanosleep(&delay, NULL);
    }
    int result = real(file);
    int error = errno;
    if (result == 0) {
        record(before.st_ino, before.st_size);
        control->fsyncs++;
    }
    errno = error;
    return result;
}

int fsync(int file) { return sync_with(real_fsync, file); }

int fdatasync(int file) { return sync_with(real_fdatasync, file); }

static void shift(struct timespec *at, int64_t by_us) {
    int64_t ns = (int64_t)at->tv_nsec + by_us % 1000000 * 1000;
    at->tv_sec += by_us / 1000000 + ns / 1000000000 - (ns < 0 && ns % 1000000000 ? 1 : 0);
    at->tv_nsec = (ns % 1000000000 + 1000000000) % 1000000000;
}

static int64_t shift_us(void) { return control ? control->clock_shift_us : 0; }

int clock_gettime(clockid_t clock, struct timespec *at) {
    /* The constructor of an allocator (jemalloc's, for one) asks before ours has run. */
    int result = real_clock_gettime ? real_clock_gettime(clock, at)
                                    : (int)syscall(SYS_clock_gettime, clock, at);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        shift(at, shift_us());
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    if (result == 0) {
        at->tv_sec = now.tv_sec;
        at->tv_usec = now.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

/* The kernel's clock is not shifted, so neither may be the end of a wait. */
int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict end) {
    struct timespec real_end = *end;
    shift(&real_end, -shift_us());
    return real_sem_timedwait(semaphore, &real_end);
}
