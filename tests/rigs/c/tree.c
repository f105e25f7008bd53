/* A tree of processes that does what it can to outlive its end: own groups and sessions, double forks,
 * SIGTERM ignored, forking while dying.
 *
 *   tree SEED PROCESSES COUNT    each appends a byte to the file COUNT when it is there, then waits
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long seed;
static const char *count;
static volatile int waits = 1;

static unsigned below(unsigned bound) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (unsigned)(seed >> 11) % bound;
}

static void child_of_the_dying(int number) {
  (void)number;
  if (fork() == 0) {
    setsid();
    signal(SIGTERM, SIG_IGN);
    for (;;) pause();
  }
  _exit(0);
}

static void be_there(void) {
  int file = open(count, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || write(file, ".", 1) != 1) _exit(9);
  close(file);
}

static void grow(int processes) {
  switch (below(4)) {
    case 0: setsid(); break;
    case 1: setpgid(0, 0); break;
  }
  switch (below(3)) {
    case 0: signal(SIGTERM, SIG_IGN); break;
    case 1: signal(SIGTERM, child_of_the_dying); break;
  }
  if (below(3) == 0) close(1), close(2);
  be_there();
  processes--;
  while (processes > 0) {
    int some = 1 + (int)below((unsigned)processes), twice = below(2) == 0;
    processes -= some;
    seed += 0x9e3779b97f4a7c15ul;
    pid_t child = fork();
    if (child != 0) {
      if (child > 0 && twice) waitpid(child, NULL, 0);
      continue;
    }
    if (twice && fork() != 0) _exit(0);
    grow(some);
  }
  while (waits) pause();
}

int main(int arguments, char **argument) {
  if (arguments != 4) return 2;
  seed = strtoul(argument[1], NULL, 10) | 1;
  count = argument[3];
  for (int i = 0; i < 8; i++) below(2);
  grow(atoi(argument[2]));
}
