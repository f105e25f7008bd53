/* Moves the wall clock of a process: by as many seconds as the file STEPFLOW_RIG_CLOCK says, now. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = (int)syscall(SYS_clock_gettime, clock, time);
  const char *path = getenv("STEPFLOW_RIG_CLOCK");
  if (result != 0 || clock != CLOCK_REALTIME || path == NULL) return result;
  char text[32] = {0};
  int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) return result;
  if (syscall(SYS_read, file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
  syscall(SYS_close, file);
  return result;
}
