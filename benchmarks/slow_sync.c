/* A slower disk, preloaded: each sync takes as many microseconds longer as ASSAY_SYNC_US says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slowed(const char *name, int file)
{
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int done = sync(file);
    const char *said = getenv("ASSAY_SYNC_US");
    long longer = said ? atol(said) : 0;
    struct timespec pause = {longer / 1000000, longer % 1000000 * 1000};
    nanosleep(&pause, NULL);
    return done;
}

int fsync(int file) { return slowed("fsync", file); }
int fdatasync(int file) { return slowed("fdatasync", file); }
