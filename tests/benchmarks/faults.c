/* Stands between a process and the C library (LD_PRELOAD), and has one of the operations that change a directory fail.

   Counted are the operations on files below `faults_arm`'s directory: opening for writing, writing, flushing, renaming,
   cutting, removing, and making directories. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, FAIL, FAIL_FROM_HERE, HALF, CRASH_BEFORE, CRASH_HALF, CRASH_AFTER };

static char below[4096];
static long left = -1, counted = 0;
static int how = COUNT, code = 0, log_fd = -1;

void faults_arm(const char *directory, long number, int mode, int error, int log) {
    strncpy(below, directory, sizeof below - 1);
    left = number, how = mode, code = error, log_fd = log, counted = 0;
}

long faults_counted(void) { return counted; }

static int inside(const char *path) { return below[0] && path && !strncmp(path, below, strlen(below)); }

static int inside_fd(int fd) {
    char link[64], path[4096];
    if (!below[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return inside(path);
}

/* Counts an operation; a full disk has nothing against removing. 0 it may go on, 1 it fails, 2 half of it is done, 3 the process ends after it, 4 in its middle. */
static int verdict(const char *name) {
    counted++;
    if (log_fd >= 0) dprintf(log_fd, "%s\n", name);
    if (how == FAIL_FROM_HERE && counted > left) return code != ENOSPC || strcmp(name, "remove");
    if (counted != left + 1 || how == COUNT) return 0;
    if (how == CRASH_BEFORE) _exit(99);
    return how == FAIL ? 1 : how == HALF ? 2 : how == CRASH_AFTER ? 3 : 4;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)
#define FINISH(type, applies, label, call)                                     \
    int said = (applies) ? verdict(label) : 0;                                 \
    if (said == 1 || said == 2) { errno = code; return -1; }                   \
    if (said == 4) _exit(99);                                                  \
    type result = call;                                                        \
    if (said == 3) _exit(99);                                                  \
    return result

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    int said = fd > 2 && fd != log_fd && inside_fd(fd) ? verdict("write") : 0;
    if (said == 1) { errno = code; return -1; }
    if (said == 2 || said == 4) {
        ssize_t done = size > 1 ? real(fd, data, size / 2) : 0;
        if (said == 4) _exit(99);
        how = FAIL_FROM_HERE, left = counted;
        if (done > 0) return done;
        errno = code;
        return -1;
    }
    ssize_t result = real(fd, data, size);
    if (said == 3) _exit(99);
    return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    FINISH(ssize_t, inside_fd(fd), "write", real(fd, data, size, at));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    FINISH(ssize_t, inside_fd(fd), "write", real(fd, parts, count));
}
int fsync(int fd) {
    REAL(int, fsync, int);
    FINISH(int, inside_fd(fd), "flush", real(fd));
}
int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    FINISH(int, inside(to), "rename", real(from, to));
}
int truncate64(const char *path, off_t size) {
    REAL(int, truncate64, const char *, off_t);
    FINISH(int, inside(path), "truncate", real(path, size));
}
int ftruncate64(int fd, off_t size) {
    REAL(int, ftruncate64, int, off_t);
    FINISH(int, inside_fd(fd), "truncate", real(fd, size));
}
int truncate(const char *path, off_t size) { return truncate64(path, size); }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int unlink(const char *path) {
    REAL(int, unlink, const char *);
    FINISH(int, inside(path), "remove", real(path));
}
int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    FINISH(int, inside(path), "make directory", real(path, mode));
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT; }

int open64(const char *path, int flags, ...) {
    REAL(int, open64, const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    FINISH(int, writes(flags) && inside(path), "open", real(path, flags, mode));
}
int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open64(path, flags, mode);
}
