//! Files in memory that can fail, and that forget what was not synced when the power goes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{FileLayer, OwnError, Ownership, SegmentFile};

/// The operations that a fault can be put under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A read.
    Read,
    /// A write: half of its bytes arrive.
    Write,
    /// A sync: nothing becomes durable.
    Sync,
    /// Taking space.
    Allocate,
    /// Giving a file another name.
    Rename,
}

/// How much of the writes that were not synced survives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerLoss {
    /// None of them.
    KeepNone,
    /// The first bytes of the oldest of them, so that a write is torn.
    KeepBytes(usize),
    /// All of them.
    KeepAll,
}

#[derive(Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    seen: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Tree {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    owned: BTreeSet<PathBuf>,
    faults: BTreeMap<Operation, (u32, io::ErrorKind)>,
    counts: BTreeMap<Operation, u64>,
}

/// A tree of files in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles(Arc<Mutex<Tree>>);

impl MemoryFiles {
    /// Makes an empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `successes` more operations of this kind pass, then fails one with `kind`.
    pub fn fail_after(&self, operation: Operation, successes: u32, kind: io::ErrorKind) {
        self.tree().faults.insert(operation, (successes, kind));
    }

    /// Loses power: what was not synced is kept only as far as `loss` says, owners die.
    pub fn lose_power(&self, loss: PowerLoss) {
        let mut tree = self.tree();
        tree.owned.clear();
        tree.faults.clear();
        for inode in &mut tree.inodes {
            let pending = std::mem::take(&mut inode.pending);
            let mut left = match loss {
                PowerLoss::KeepNone => 0,
                PowerLoss::KeepBytes(bytes) => bytes,
                PowerLoss::KeepAll => usize::MAX,
            };
            for (offset, bytes) in pending {
                let kept = left.min(bytes.len());
                left -= kept;
                put(&mut inode.durable, offset, &bytes[..kept]);
            }
            inode.seen.clone_from(&inode.durable);
        }
    }

    /// How many operations of a kind were asked for.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.tree().counts.get(&operation).copied().unwrap_or(0)
    }

    /// The content of a file as a reader sees it.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let tree = self.tree();
        tree.names.get(path).map(|inode| tree.inodes[*inode].seen.clone())
    }

    /// Puts a file there, durable.
    pub fn put(&self, path: &Path, content: Vec<u8>) {
        let mut tree = self.tree();
        tree.inodes.push(Inode { durable: content.clone(), seen: content, pending: Vec::new() });
        let inode = tree.inodes.len() - 1;
        tree.names.insert(path.to_owned(), inode);
    }

    /// All paths, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.tree().names.keys().cloned().collect()
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let inode = self.tree().names.get(path).copied();
        match inode {
            Some(inode) => Ok(Box::new(MemoryFile { files: self.clone(), inode })),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Tree {
    fn attempt(&mut self, operation: Operation) -> io::Result<()> {
        *self.counts.entry(operation).or_default() += 1;
        match self.faults.get_mut(&operation) {
            None => Ok(()),
            Some((0, kind)) => {
                let kind = *kind;
                self.faults.remove(&operation);
                Err(kind.into())
            }
            Some((successes, _)) => {
                *successes -= 1;
                Ok(())
            }
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

struct MemoryFile {
    files: MemoryFiles,
    inode: usize,
}

impl SegmentFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut tree = self.files.tree();
        tree.attempt(Operation::Read)?;
        let seen = &tree.inodes[self.inode].seen;
        let rest = seen.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut tree = self.files.tree();
        let outcome = tree.attempt(Operation::Write);
        let arrived = if outcome.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let inode = &mut tree.inodes[self.inode];
        put(&mut inode.seen, offset as usize, arrived);
        inode.pending.push((offset as usize, arrived.to_vec()));
        outcome
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut tree = self.files.tree();
        tree.attempt(Operation::Sync)?;
        let inode = &mut tree.inodes[self.inode];
        for (offset, bytes) in std::mem::take(&mut inode.pending) {
            put(&mut inode.durable, offset, &bytes);
        }
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut tree = self.files.tree();
        tree.attempt(Operation::Allocate)?;
        let inode = &mut tree.inodes[self.inode];
        inode.seen.resize(bytes as usize, 0);
        inode.durable.resize(bytes as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.files.tree().inodes[self.inode].seen.len() as u64)
    }
}

struct MemoryOwnership {
    files: MemoryFiles,
    dir: PathBuf,
}

impl Ownership for MemoryOwnership {}

impl Drop for MemoryOwnership {
    fn drop(&mut self) {
        self.files.tree().owned.remove(&self.dir);
    }
}

impl FileLayer for MemoryFiles {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree();
        let inside = tree.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.open(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.put(path, Vec::new());
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        tree.attempt(Operation::Rename)?;
        let inode = tree.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match self.tree().names.remove(path) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn own(&self, dir: &Path) -> Result<Box<dyn Ownership>, OwnError> {
        if self.tree().owned.insert(dir.to_owned()) {
            Ok(Box::new(MemoryOwnership { files: self.clone(), dir: dir.to_owned() }))
        } else {
            Err(OwnError::InUse(Some(std::process::id())))
        }
    }
}
