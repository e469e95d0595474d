//! The few file operations that the log needs, so that faults can be put under it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// Name of the lock file inside a directory that has one owner.
pub const LOCK_FILE: &str = "owner.lock";

/// Bytes of zeros written at once when a segment is prepared.
const ZERO_CHUNK_BYTES: usize = 1024 * 1024;

/// One open file.
pub trait SegmentFile: Send {
    /// Reads up to `buffer.len()` bytes and says how many there were before the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the system says; a part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes all written bytes durable.
    ///
    /// # Errors
    /// What the system says. After an error nobody knows which bytes are durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Takes `bytes` of space from the disk now, filled with zeros that are durable on return.
    ///
    /// # Errors
    /// `StorageFull` above all.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Length of the file in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Proof that this process owns a directory; gives it up when dropped.
pub trait Ownership: Send {}

/// Why a directory could not be owned.
#[derive(Debug)]
pub enum OwnError {
    /// Another owner holds it; its process id where it could be read.
    InUse(Option<u32>),
    /// The system refused.
    Io(io::Error),
}

/// A tree of files.
pub trait FileLayer: Send + Sync {
    /// Makes a directory and its parents.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Names of the files in a directory, in no order; none if there is no such directory.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// What the system says.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// What the system says.
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;

    /// Makes an empty file in the place of whatever stood there.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;

    /// Gives a file another name; durable after [`FileLayer::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; durable after [`FileLayer::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes names in a directory durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes a directory for this process alone.
    ///
    /// # Errors
    /// [`OwnError::InUse`] while another owner lives.
    fn own(&self, dir: &Path) -> Result<Box<dyn Ownership>, OwnError>;
}

/// The files of the disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFiles;

struct DiskFile(File);

impl SegmentFile for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
        // Space that is only reserved costs a change of metadata at the first write of each
        // block; zeros written once keep the later fdatasync to the data alone.
        let zeros = vec![0; ZERO_CHUNK_BYTES.min(bytes as usize)];
        let mut offset = 0;
        while offset < bytes {
            let count = (bytes - offset).min(zeros.len() as u64);
            self.0.write_all_at(&zeros[..count as usize], offset)?;
            offset += count;
        }
        self.0.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

struct DiskOwnership(#[expect(dead_code, reason = "the lock lives as long as the file")] File);

impl Ownership for DiskOwnership {}

impl FileLayer for DiskFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(DiskFile(File::open(path)?)))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(DiskFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn own(&self, dir: &Path) -> Result<Box<dyn Ownership>, OwnError> {
        let path: PathBuf = dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(OwnError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                return Err(OwnError::InUse(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(OwnError::Io(error)),
        }
        let pid = format!("{}\n", std::process::id());
        file.set_len(0).map_err(OwnError::Io)?;
        file.write_all_at(pid.as_bytes(), 0).map_err(OwnError::Io)?;
        Ok(Box::new(DiskOwnership(file)))
    }
}
