/* The time of day of one process, a while away from the right one: preloaded (LD_PRELOAD), told by the eight bytes of the
 * file CHAOS_CLOCK, a number of seconds that may change at any moment. Other clocks stay as they are, as they do when a
 * machine's clock is set. libfaketime does this too, but also replaces waits on conditions, which CPython's interpreter lock
 * uses thousands of times a second: a server under it takes a hundred times as long for a request. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;
static int (*right)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("CHAOS_CLOCK");
    right = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (file) {
        int descriptor = open(file, O_RDONLY | O_CLOEXEC);
        if (descriptor >= 0) {
            void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, descriptor, 0);
            if (page != MAP_FAILED)
                offset = page;
            close(descriptor);
        }
    }
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = right ? right(clock, time) : (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept)
        *kept = now.tv_sec;
    return now.tv_sec;
}
