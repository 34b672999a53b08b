/*
 * Kills the process that it is loaded into (LD_PRELOAD) before one of its calls: CUT_CALL names the call as strace does,
 * CUT_OBJECT what it is made on (a path, or "socket" for any socket), and CUT_WHEN which of these calls it is, counted over
 * all threads. strace counts each thread for itself, and which thread of a pool works is chance.
 *
 * It counts from the process's first words on standard output on: what it does before is its start.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *cut_call = "", *cut_object = "";
static long cut_when;
static atomic_long seen;
static atomic_int has_spoken;

__attribute__((constructor)) static void begin(void)
{
    const char *call = getenv("CUT_CALL"), *object = getenv("CUT_OBJECT"), *when = getenv("CUT_WHEN");
    if (call && object && when) {
        cut_call = call;
        cut_object = object;
        cut_when = atol(when);
    }
}

static void at(const char *call, int fd)
{
    char link[64], path[4096];
    ssize_t length;

    if (!atomic_load(&has_spoken) || strcmp(call, cut_call) != 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = 0;
    if (strncmp(path, "socket:", 7) == 0)
        path[6] = 0;
    if (strcmp(path, cut_object) != 0)
        return;
    if (atomic_fetch_add(&seen, 1) + 1 == cut_when) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    ssize_t written;

    at("write", fd);
    written = syscall(SYS_write, fd, bytes, length);
    if (fd == STDOUT_FILENO)
        atomic_store(&has_spoken, 1);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    at("pwrite64", fd);
    return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return pwrite64(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    at("writev", fd);
    return syscall(SYS_writev, fd, parts, count);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    at("sendto", fd);
    return syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t to_length)
{
    at("sendto", fd);
    return syscall(SYS_sendto, fd, bytes, length, flags, to, to_length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    at("sendmsg", fd);
    return syscall(SYS_sendmsg, fd, message, flags);
}

int fsync(int fd)
{
    at("fsync", fd);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    at("fdatasync", fd);
    return (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off64_t length)
{
    at("ftruncate", fd);
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    at("fallocate", fd);
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    return fallocate64(fd, mode, offset, length);
}
