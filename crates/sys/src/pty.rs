//! Pseudo terminals: a master to read and write, and the script's side of it.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    libc,
    pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::termios::{LocalFlags, SpecialCharacterIndices, tcgetattr},
    unistd::{self, Pid},
};

use ioctl::{tiocsctty, tiocswinsz};

mod ioctl {
    nix::ioctl_write_ptr_bad!(tiocswinsz, nix::libc::TIOCSWINSZ, nix::pty::Winsize);
    nix::ioctl_write_int_bad!(tiocsctty, nix::libc::TIOCSCTTY);
}

/// The device number of `/dev/tty`: whatever terminal controls the process that opens it.
const DEV_TTY: u64 = libc::makedev(5, 0);

/// Our side of a pseudo terminal. Reading answers EIO while nobody has the other side open: its
/// end, unless somebody opens it again.
#[derive(Debug)]
pub struct Pty {
    /// Non-blocking, both ways.
    pub master: File,
    id: PtyId,
}

/// Which terminal it is, to tell who has it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PtyId {
    dev: u64,
    ino: u64,
}

impl Pty {
    /// Opens a new pseudo terminal; its script's side has `cols` and `rows`, and the settings of
    /// any terminal: lines, echo, `\n` sent on as `\r\n`.
    pub fn open(cols: u16, rows: u16) -> io::Result<(Self, OwnedFd)> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let master = posix_openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname_r(&master)?;
        // SAFETY: the descriptor is open, and `into_raw_fd` has given up its ownership.
        let master = File::from(unsafe { OwnedFd::from_raw_fd(master.into_raw_fd()) });
        let slave = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open(path)?;
        let about = slave.metadata()?;
        let id = PtyId { dev: about.dev(), ino: about.ino() };
        let pty = Self { master, id };
        pty.resize(cols, rows)?;
        Ok((pty, slave.into()))
    }

    /// Sets the window's size. If it is another, the foreground processes get SIGWINCH.
    pub fn resize(&self, cols: u16, rows: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the descriptor is open and the pointer is to a whole `winsize`.
        unsafe { tiocswinsz(self.master.as_raw_fd(), &raw const size) }?;
        Ok(())
    }

    /// Which terminal it is.
    pub fn id(&self) -> PtyId {
        self.id
    }

    /// The byte that ends the input where lines are typed (Ctrl-D); `None`: the script reads byte
    /// by byte, and nothing means an end.
    pub fn end_of_input(&self) -> Option<u8> {
        let settings = tcgetattr(&self.master).ok()?;
        settings
            .local_flags
            .contains(LocalFlags::ICANON)
            .then_some(settings.control_chars[SpecialCharacterIndices::VEOF as usize])
    }
}

impl PtyId {
    /// Whether `pid` has the terminal open: by its name, or as `/dev/tty` in the session of
    /// `leader`, whose terminal this is or was. (When the leader ends, the kernel takes the terminal
    /// from the session, but leaves open what is open.)
    pub fn is_held_by(self, pid: i32, leader: i32) -> bool {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut files = entries.flatten().filter_map(|entry| fs::metadata(entry.path()).ok());
        files.any(|file| {
            (file.dev(), file.ino()) == (self.dev, self.ino)
                || (file.rdev() == DEV_TTY && session_of(pid) == Some(leader))
        })
    }
}

fn session_of(pid: i32) -> Option<i32> {
    Some(unistd::getsid(Some(Pid::from_raw(pid))).ok()?.as_raw())
}

/// Makes the terminal `fd` the controlling one of this process, the leader of a session without.
pub(crate) fn control(fd: &impl AsFd) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the length of the call; the argument is a number.
    unsafe { tiocsctty(fd.as_fd().as_raw_fd(), 0) }.map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_written_is_shown_with_returns_and_its_end_is_an_error() {
        let (mut pty, slave) = Pty::open(80, 24).unwrap();
        let me = std::process::id() as i32;
        assert!(pty.id().is_held_by(me, me));
        let mut slave = File::from(slave);
        slave.write_all(b"a\nb").unwrap();
        let mut read = [0; 16];
        let count = pty.master.read(&mut read).unwrap();
        assert_eq!(&read[..count], b"a\r\nb");
        assert_eq!(pty.master.read(&mut read).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(pty.end_of_input(), Some(4));
        pty.resize(100, 30).unwrap();
        drop(slave);
        let ended = pty.master.read(&mut read).unwrap_err();
        assert_eq!(ended.raw_os_error(), Some(libc::EIO));
        assert!(!pty.id().is_held_by(me, me));
    }
}
