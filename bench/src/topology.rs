//! The machine that a number was measured on.

use std::fmt;
use std::path::Path;

/// What a number depends on besides the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Model of the processor.
    pub processor: String,
    /// Processors that the program may use.
    pub processors: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// File system, its device and options, under the directory measured.
    pub filesystem: String,
    /// Optimised or not.
    pub build: &'static str,
}

impl Topology {
    /// Looks at the machine; what cannot be found is `unknown`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        Self {
            processor: after(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: after(&read("/proc/meminfo"), "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            kernel: Some(read("/proc/sys/kernel/osrelease").trim().to_owned())
                .filter(|text| !text.is_empty())
                .unwrap_or_else(unknown),
            filesystem: filesystem(&read("/proc/mounts"), &dir).unwrap_or_else(unknown),
            build: if cfg!(debug_assertions) { "dev profile" } else { "release profile" },
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} processors, {} MiB; Linux {}; {}; {}",
            self.processor,
            self.processors,
            self.memory_mib,
            self.kernel,
            self.filesystem,
            self.build
        )
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn after(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The mount with the longest path that holds `dir`.
fn filesystem(mounts: &str, dir: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?, words.next()?, words.next()?))
    });
    let (device, _, kind, options) = mounts
        .filter(|(_, point, _, _)| dir.starts_with(point))
        .max_by_key(|(_, point, _, _)| point.len())?;
    Some(format!("{kind} on {device} ({options})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_is_named() {
        let mounts =
            "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,nosuid 0 0\n/dev/b /tmpx xfs rw 0 0\n";
        for (dir, expected) in [
            ("/var/x", "ext4 on /dev/a (rw)"),
            ("/tmp/x", "tmpfs on tmpfs (rw,nosuid)"),
            ("/tmpx", "xfs on /dev/b (rw)"),
        ] {
            assert_eq!(filesystem(mounts, Path::new(dir)).as_deref(), Some(expected), "{dir}");
        }
        assert_eq!(filesystem("", Path::new("/")), None);
    }

    #[test]
    fn this_machine_has_a_processor() {
        let topology = Topology::of(&std::env::temp_dir());
        assert!(topology.processors >= 1 && topology.memory_mib > 0, "{topology}");
    }
}
