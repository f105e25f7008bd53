/* Cuts the power of the ext4 file system that MOUNTPOINT is in: nothing more reaches its device, and
 * nothing that waits is written (EXT4_GOING_FLAGS_NOLOGFLUSH of fs/ext4/ext4.h). Needs root. */
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define EXT4_IOC_SHUTDOWN _IOR('X', 125, __u32)
#define NO_LOG_FLUSH 2

int main(int count, char **words) {
  __u32 how = NO_LOG_FLUSH;
  int fd = count == 2 ? open(words[1], O_RDONLY | O_DIRECTORY) : -1;
  if (fd < 0 || ioctl(fd, EXT4_IOC_SHUTDOWN, &how) != 0) {
    perror(count == 2 ? words[1] : "usage: shutdown MOUNTPOINT");
    return 1;
  }
  return 0;
}
