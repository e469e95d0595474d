//! A serial line made of a pseudo-terminal, under a name that stays the same.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use tokio::io::unix::AsyncFd;

use super::wire::SEND_LIMIT;

/// The device's end of a serial line.
pub struct Pty {
    master: AsyncFd<OwnedFd>,
    /// Kept open so that the line lives on when a host closes it.
    slave: OwnedFd,
    link: PathBuf,
    device: PathBuf,
}

impl Pty {
    /// Makes a pseudo-terminal and links it under a path.
    pub fn open(link: &Path) -> anyhow::Result<Pty> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).context("no pseudo-terminal to be had")?;
        rustix::pty::grantpt(&master).context("cannot grant the pseudo-terminal")?;
        rustix::pty::unlockpt(&master).context("cannot unlock the pseudo-terminal")?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let device = PathBuf::from(name.into_string().context("odd name of a pseudo-terminal")?);
        let slave = open_raw(&device)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        place_link(&device, link)?;
        #[expect(deprecated, reason = "sound for an OwnedFd, whose descriptor never changes")]
        let master = AsyncFd::new(master)?;
        Ok(Pty { master, slave, link: link.to_owned(), device })
    }

    /// Where it is linked.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// Reads what the host sent.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut guard = self.master.readable().await?;
            let outcome =
                guard.try_io(|fd| rustix::io::read(fd, &mut *buffer).map_err(io::Error::from));
            if let Ok(result) = outcome {
                return result;
            }
        }
    }

    /// Sends bytes to the host; what it does not take in time is lost.
    pub async fn send(&self, bytes: &[u8]) {
        let all = async {
            let mut rest = bytes;
            while !rest.is_empty() {
                let mut guard = self.master.writable().await?;
                match guard.try_io(|fd| rustix::io::write(fd, rest).map_err(io::Error::from)) {
                    Ok(Ok(count)) => rest = &rest[count..],
                    Ok(Err(error)) => return Err(error),
                    Err(_) => {}
                }
            }
            Ok::<(), io::Error>(())
        };
        match tokio::time::timeout(SEND_LIMIT, all).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(line = %self.link.display(), %error, "cannot send"),
            Err(_) => tracing::debug!(line = %self.link.display(), "host does not read"),
        }
    }

    /// Lets a new host open the line after one that held it alone was killed.
    pub fn allow_next_host(&self) {
        // On a real line the last close does this; here our own end keeps the line open.
        if let Err(error) = rustix::termios::ioctl_tiocnxcl(&self.slave) {
            tracing::debug!(line = %self.link.display(), %error, "cannot share the line");
        }
    }
}

impl Pty {
    /// Takes the link away, unless it is another's by now.
    pub fn unlink(&self) {
        if std::fs::read_link(&self.link).is_ok_and(|target| target == self.device) {
            let _ = std::fs::remove_file(&self.link);
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.unlink();
    }
}

fn open_raw(device: &Path) -> anyhow::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(device, flags, Mode::empty())
        .with_context(|| format!("cannot open {}", device.display()))?;
    let mut settings = rustix::termios::tcgetattr(&slave)?;
    settings.make_raw();
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &settings)?;
    Ok(slave)
}

fn place_link(device: &Path, link: &Path) -> anyhow::Result<()> {
    if let Ok(found) = std::fs::symlink_metadata(link)
        && !found.file_type().is_symlink()
    {
        anyhow::bail!("{} is in the way: not a link", link.display());
    }
    let fresh = link.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    std::os::unix::fs::symlink(device, &fresh)
        .and_then(|()| std::fs::rename(&fresh, link))
        .with_context(|| format!("cannot place the link {}", link.display()))
}
