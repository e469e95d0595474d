//! Processes of our own: started, waited for until ready, and stopped cleanly.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// How long a child may take from its start to its ready line.
const READY_PATIENCE: Duration = Duration::from_secs(90);
/// How long a child may take to stop cleanly before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// A running process of ours.
pub struct Process {
    /// What it is, for people.
    pub name: String,
    /// The line of JSON it printed when it was ready.
    pub ready: Value,
    child: Child,
    log: Log,
    // Held open: a child that was told `--exit-with-stdin` stops when we go away, however we go.
    _stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts this very program with `args`, its log in `logs/NAME.log`, and waits for its ready line.
    pub async fn start(name: &str, logs: &Path, args: &[String]) -> Result<Self> {
        std::fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let log = logs.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let log = Log { from: file.metadata().map_or(0, |m| m.len()), path: log };
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the child has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(READY_PATIENCE, lines.next_line()).await;
        let line = match first {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None) | Err(_)) => {
                let _ = child.wait().await;
                bail!("{name} stopped before it was ready: {}", log.tail());
            }
            Err(_) => {
                bail!("{name} was not ready after {READY_PATIENCE:?}; see {}", log.path.display())
            }
        };
        let ready = serde_json::from_str(&line)
            .with_context(|| format!("{name} said something unexpected when ready: {line}"))?;
        // Keep its output flowing, or it would block one day.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { name: name.to_owned(), ready, child, log, _stdin: stdin })
    }

    /// A text of the ready line, such as an address.
    pub fn told(&self, key: &str) -> Result<String> {
        self.ready[key]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("{} did not say its {key}", self.name))
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{status}; {}", self.log.tail()))
    }

    /// Asks it to stop (SIGTERM), and kills it when it does not.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.is_err() {
            tracing::warn!(process = self.name, "did not stop in time and was killed");
            let _ = self.child.kill().await;
        }
    }
}

/// A log, and where in it this run begins: what earlier runs said is no news.
struct Log {
    path: PathBuf,
    from: u64,
}

impl Log {
    /// Its last lines, on one line.
    fn tail(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        let from = usize::try_from(self.from).unwrap_or(usize::MAX).min(bytes.len());
        let text = String::from_utf8_lossy(&bytes[from..]);
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        let words: Vec<&str> = lines.into_iter().rev().collect();
        if words.is_empty() {
            return format!("it said nothing in its log {}", self.path.display());
        }
        words.join(" | ")
    }
}

/// Ends when this process is to stop: SIGTERM, SIGINT, or (when asked) the end of standard input.
///
/// From this call on, not only from the first wait, no signal ends the process unasked.
pub fn told_to_stop(with_stdin: bool) -> impl Future<Output = ()> {
    use tokio::signal::unix::{Signal, SignalKind, signal};
    async fn told(signal: Option<Signal>) {
        match signal {
            Some(mut signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }
    let term = signal(SignalKind::terminate()).ok();
    let int = signal(SignalKind::interrupt()).ok();
    let stdin = async move {
        if !with_stdin {
            std::future::pending::<()>().await;
        }
        // A plain thread, since a blocked read of standard input would hold the runtime's end up.
        let (gone, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let _ = gone.send(());
        });
        let _ = end.await;
    };
    async move {
        tokio::select! {
            () = told(term) => {},
            () = told(int) => {},
            () = stdin => {},
        }
    }
}
