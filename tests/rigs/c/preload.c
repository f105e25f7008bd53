/* Lies to one process about its disk: the n-th call that changes a file below STEPFLOW_RIG_ROOT kills
 * the process, fails, or waits. Built by the rig with the system's C compiler; loaded by LD_PRELOAD.
 *
 *   STEPFLOW_RIG_ROOT    directory; calls on other files are not counted
 *   STEPFLOW_RIG_ROLE    a word; only a process with it among its arguments is lied to
 *   STEPFLOW_RIG_COUNT   file to which a letter is appended for each counted call: w(rite), s(ync), sync of a d(irectory),
 *                        c(reate), m(kdir), r(ename), u(nlink), t(runcate)
 *   STEPFLOW_RIG_AT      number of the call, from 1; 0: none, only count
 *   STEPFLOW_RIG_DO      "before", "after": SIGKILL then; a number: that errno; "short": half a write
 *   STEPFLOW_RIG_ON      "1": all calls from AT on, until the file STEPFLOW_RIG_HEAL is there
 *   STEPFLOW_RIG_ARMED   calls are counted once this file is there
 *   STEPFLOW_RIG_SLOW    fdatasync returns only when this file is there
 *   STEPFLOW_RIG_DELAY   every counted call takes so many milliseconds more
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static char root[PATH_MAX];
static size_t root_length;
static const char *count, *heal, *slow, *armed;
static long at, calls, delay;
static int active, go_on, fault, brief, before, after;
static pid_t me;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
  const char *dir = getenv("STEPFLOW_RIG_ROOT"), *role = getenv("STEPFLOW_RIG_ROLE");
  if (dir == NULL || role == NULL) return;
  char line[4096];
  int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY, 0);
  if (fd < 0) return;
  ssize_t have = syscall(SYS_read, fd, line, sizeof line - 1);
  syscall(SYS_close, fd);
  if (have <= 0) return;
  line[have] = 0;
  int found = 0;
  for (size_t i = 0; i < (size_t)have; i += strlen(line + i) + 1) found |= strcmp(line + i, role) == 0;
  if (!found || realpath(dir, root) == NULL) return;
  root_length = strlen(root);
  heal = getenv("STEPFLOW_RIG_HEAL");
  slow = getenv("STEPFLOW_RIG_SLOW");
  armed = getenv("STEPFLOW_RIG_ARMED");
  const char *what = getenv("STEPFLOW_RIG_DO"), *n = getenv("STEPFLOW_RIG_AT");
  at = n == NULL ? 0 : atol(n);
  const char *wait = getenv("STEPFLOW_RIG_DELAY");
  delay = wait == NULL ? 0 : atol(wait);
  go_on = getenv("STEPFLOW_RIG_ON") != NULL;
  if (what != NULL) {
    before = strcmp(what, "before") == 0;
    after = strcmp(what, "after") == 0;
    brief = strcmp(what, "short") == 0;
    fault = atoi(what);
  }
  count = getenv("STEPFLOW_RIG_COUNT");
  me = getpid();
  active = 1;
}

static int below(const char *path) {
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static int below_at(int dir, const char *path) {
  char name[64], full[PATH_MAX];
  if (path[0] == '/') return below(path);
  if (dir == AT_FDCWD) return getcwd(full, sizeof full) != NULL && below(full);
  snprintf(name, sizeof name, "/proc/self/fd/%d", dir);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, name, full, sizeof full - 1);
  if (length < 0) return 0;
  full[length] = 0;
  return below(full);
}

static int ours(int fd) {
  /* A forked child is another process: the keeper, the script before its exec. */
  return active && getpid() == me && below_at(fd, "");
}

static void die(void) {
  syscall(SYS_kill, me, SIGKILL);
  for (;;) pause();
}

static int healed(void) {
  return heal != NULL && syscall(SYS_faccessat, AT_FDCWD, heal, F_OK) == 0;
}

enum verdict { GOES, FAILS, SHORT, DIES_AFTER };

/* Counts a call; says what becomes of it. */
static enum verdict meet(char letter) {
  const char *file = armed; /* Another thread may find it at the same time. */
  if (file != NULL) {
    if (syscall(SYS_faccessat, AT_FDCWD, file, F_OK) != 0) return GOES;
    armed = NULL;
  }
  pthread_mutex_lock(&lock);
  long n = ++calls;
  if (count != NULL) {
    /* Opened each time: a recorder closes what it was started with. */
    int fd = syscall(SYS_openat, AT_FDCWD, count, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
      syscall(SYS_write, fd, &letter, 1);
      syscall(SYS_close, fd);
    }
  }
  pthread_mutex_unlock(&lock);
  if (delay > 0) {
    struct timespec moment = {delay / 1000, delay % 1000 * 1000000};
    nanosleep(&moment, NULL);
  }
  int hit = at > 0 && (go_on ? n >= at && !healed() : n == at);
  if (!hit) return GOES;
  if (before) die();
  if (after) return DIES_AFTER;
  if (brief) return letter == 'w' ? SHORT : GOES;
  if (fault != 0) {
    errno = fault;
    return FAILS;
  }
  return GOES;
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (real == NULL) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define CARRY_OUT(letter, call) \
  do { \
    enum verdict verdict = meet(letter); \
    if (verdict == FAILS) return -1; \
    long done = (call); \
    if (verdict == DIES_AFTER) die(); \
    return done; \
  } while (0)

ssize_t write(int fd, const void *bytes, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (!ours(fd)) return real(fd, bytes, size);
  enum verdict verdict = meet('w');
  if (verdict == FAILS) return -1;
  ssize_t done = real(fd, bytes, verdict == SHORT && size > 1 ? size / 2 : size);
  if (verdict == DIES_AFTER) die();
  return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  if (!ours(fd)) return real(fd, bytes, size, offset);
  enum verdict verdict = meet('w');
  if (verdict == FAILS) return -1;
  ssize_t done = real(fd, bytes, verdict == SHORT && size > 1 ? size / 2 : size, offset);
  if (verdict == DIES_AFTER) die();
  return done;
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  if (!ours(fd)) return real(fd);
  if (slow != NULL) {
    struct timespec moment = {0, 2000000};
    while (syscall(SYS_faccessat, AT_FDCWD, slow, F_OK) != 0) nanosleep(&moment, NULL);
  }
  CARRY_OUT('s', real(fd));
}

int fsync(int fd) {
  REAL(int, "fsync", int);
  if (!ours(fd)) return real(fd);
  struct stat look;
  char letter = fstat(fd, &look) == 0 && S_ISDIR(look.st_mode) ? 'd' : 's';
  CARRY_OUT(letter, real(fd));
}

int syncfs(int fd) {
  REAL(int, "syncfs", int);
  if (!ours(fd)) return real(fd);
  CARRY_OUT('s', real(fd));
}

int ftruncate64(int fd, off64_t size) {
  REAL(int, "ftruncate64", int, off64_t);
  if (!ours(fd)) return real(fd, size);
  CARRY_OUT('t', real(fd, size));
}

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  if (!active || getpid() != me || !below_at(AT_FDCWD, to)) return real(from, to);
  CARRY_OUT('r', real(from, to));
}

int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  if (!active || getpid() != me || !below_at(AT_FDCWD, path)) return real(path);
  CARRY_OUT('u', real(path));
}

int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  if (!active || getpid() != me || !below_at(AT_FDCWD, path)) return real(path, mode);
  CARRY_OUT('m', real(path, mode));
}

static int opened(int dir, const char *path, int flags, mode_t mode) {
  return syscall(SYS_openat, dir, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if (!(flags & O_CREAT) || !active || getpid() != me || !below_at(AT_FDCWD, path))
    return opened(AT_FDCWD, path, flags, mode);
  CARRY_OUT('c', opened(AT_FDCWD, path, flags, mode));
}
