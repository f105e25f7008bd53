//! Descriptors handed to another process over a Unix socket (`SCM_RIGHTS`).
//!
//! What is received is closed at `exec`, so that no program that we start has it. A descriptor is a
//! second name of the same open file: locks and accept queues go with it. Source: Linux `unix(7)`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};

/// Most descriptors of one message; the kernel's own limit is 253.
pub const FDS_MAX: usize = 64;

/// Sends some of `bytes`, with `fds` on the first of them. Returns how many bytes went; the
/// descriptors went with them, whatever the number.
///
/// # Errors
/// More than [`FDS_MAX`] descriptors, no bytes, or what `sendmsg` says; `WouldBlock` on a socket
/// that does not wait.
pub fn send(socket: &impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if bytes.is_empty() || FDS_MAX < fds.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    loop {
        let sent = sendmsg::<()>(
            socket.as_fd().as_raw_fd(),
            &[IoSlice::new(bytes)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Err(Errno::EINTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// Receives some bytes into `bytes`, and adds the descriptors that came with them to `fds`. 0: the
/// other side has closed.
///
/// # Errors
/// Descriptors were lost because this process may open no more, or what `recvmsg` says;
/// `WouldBlock` on a socket that does not wait.
pub fn receive(
    socket: &impl AsFd,
    bytes: &mut [u8],
    fds: &mut impl Extend<OwnedFd>,
) -> io::Result<usize> {
    let mut space = cmsg_space!([RawFd; FDS_MAX]);
    let mut parts = [IoSliceMut::new(bytes)];
    loop {
        let received = recvmsg::<()>(
            socket.as_fd().as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        );
        let message = match received {
            Err(Errno::EINTR) => continue,
            received => received?,
        };
        let cut = message.flags.contains(MsgFlags::MSG_CTRUNC);
        // One that is cut may hold some all the same: they are ours, and to be closed.
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                // SAFETY: the kernel has just made these descriptors for this process, and nothing
                // else in it knows their numbers.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        if cut {
            return Err(io::Error::other("descriptors were lost on the way"));
        }
        return Ok(message.bytes);
    }
}

/// Keeps `fd` from the programs that this process starts.
pub fn close_on_exec(fd: &impl AsFd) -> io::Result<()> {
    fcntl(fd.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Seek, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    fn temporary(text: &str) -> File {
        let name = format!("stepflow-fds-{}-{text}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn descriptors_arrive_with_their_bytes_in_order_and_close_at_exec() {
        let (here, there) = UnixStream::pair().unwrap();
        let files: Vec<File> = ["one", "two", "three"].map(temporary).into();
        assert_eq!(send(&here, b"plain ", &[]).unwrap(), 6);
        assert_eq!(send(&here, b"first", &[files[0].as_fd(), files[1].as_fd()]).unwrap(), 5);
        assert_eq!(send(&here, b"second", &[files[2].as_fd()]).unwrap(), 6);
        drop((here, files));
        let (mut bytes, mut fds) = (Vec::new(), Vec::new());
        loop {
            let mut some = [0; 4]; // Less than was sent at once.
            match receive(&there, &mut some, &mut fds).unwrap() {
                0 => break,
                count => bytes.extend_from_slice(&some[..count]),
            }
        }
        assert_eq!(bytes, b"plain firstsecond");
        let texts: Vec<String> = fds
            .into_iter()
            .map(|fd| {
                let flags = fcntl(&fd, FcntlArg::F_GETFD).unwrap();
                assert_eq!(flags, FdFlag::FD_CLOEXEC.bits());
                let (mut file, mut text) = (File::from(fd), String::new());
                file.rewind().unwrap();
                file.read_to_string(&mut text).unwrap();
                text
            })
            .collect();
        assert_eq!(texts, ["one", "two", "three"]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let (here, there) = UnixStream::pair().unwrap();
        let fds = vec![here.as_fd(); FDS_MAX + 1];
        assert_eq!(send(&here, b"x", &fds).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(send(&here, b"", &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        drop(there);
        assert_eq!(send(&here, b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
