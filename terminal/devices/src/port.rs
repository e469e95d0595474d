//! The serial line: opens, reads, writes, and opens again when it vanished.
//!
//! A path `tcp://host:port` names a line behind a serial device server, which carries its bytes over TCP as they are.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_serial::{ClearBuffer, SerialPort, SerialStream};
use tracing::{info, warn};

use crate::error::DeviceError;

/// First pause before a lost line is tried again; doubles up to [`REOPEN_MAX`].
pub const REOPEN_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two tries to open a lost line.
pub const REOPEN_MAX: Duration = Duration::from_secs(2);
/// Longest time that a write may wait for the device to take bytes.
pub const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Begins the path of a line that is reached over TCP.
pub const TCP_SCHEME: &str = "tcp://";
/// Longest time that a device server may take to accept a connection.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where a serial line is and how fast it runs (always 8 data bits, no parity, 1 stop bit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineConfig {
    /// Path of the terminal device; a link is followed anew at each opening. Or `tcp://host:port`.
    pub path: PathBuf,
    /// Speed in bits per second; a device server has its own setting.
    pub baud: u32,
}

impl LineConfig {
    /// Names a line and its speed in bits per second.
    pub fn new(path: impl AsRef<Path>, baud: u32) -> LineConfig {
        LineConfig { path: path.as_ref().to_owned(), baud }
    }
}

/// The open end of a line.
enum Stream {
    Serial(SerialStream),
    Tcp(TcpStream),
}

impl Stream {
    async fn open(config: &LineConfig) -> Result<Self, tokio_serial::Error> {
        let path = config.path.to_string_lossy();
        if let Some(address) = path.strip_prefix(TCP_SCHEME) {
            let stream = timeout(CONNECT_LIMIT, TcpStream::connect(address))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            stream.set_nodelay(true)?;
            return Ok(Self::Tcp(stream));
        }
        let stream = SerialStream::open(&tokio_serial::new(path, config.baud))?;
        Ok(Self::Serial(stream))
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Serial(stream) => stream.read(buffer).await,
            Self::Tcp(stream) => stream.read(buffer).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Serial(stream) => stream.write_all(bytes).await,
            Self::Tcp(stream) => stream.write_all(bytes).await,
        }
    }

    /// Throws away what has arrived and was not read, and with `both` also what was not sent.
    fn clear(&self, both: bool) -> io::Result<()> {
        match self {
            Self::Serial(stream) => {
                let which = if both { ClearBuffer::All } else { ClearBuffer::Input };
                Ok(stream.clear(which)?)
            }
            Self::Tcp(stream) => {
                let mut waste = [0; 512];
                loop {
                    match stream.try_read(&mut waste) {
                        // The next read finds the end.
                        Ok(0) => return Ok(()),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

/// A serial line that opens on demand and forgets a broken connection.
pub struct Line {
    config: LineConfig,
    stream: Option<Stream>,
    /// Counts openings, so that a driver knows when it speaks to a fresh connection.
    epoch: u64,
    pause: Duration,
    not_before: Option<Instant>,
}

impl Line {
    /// Prepares a line; opens nothing yet.
    pub fn new(config: LineConfig) -> Line {
        Line { config, stream: None, epoch: 0, pause: REOPEN_MIN, not_before: None }
    }

    /// Path of the line, for messages.
    pub fn path(&self) -> String {
        self.config.path.display().to_string()
    }

    /// How often the line has been opened.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Says whether the line is open as far as known.
    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Opens the line if it is not open; waits out the back-off of the last failure first.
    ///
    /// # Errors
    /// [`DeviceError::Open`] when the system refuses.
    pub async fn ensure_open(&mut self) -> Result<(), DeviceError> {
        if self.stream.is_some() {
            return Ok(());
        }
        if let Some(at) = self.not_before {
            sleep_until(at).await;
        }
        match Stream::open(&self.config).await {
            Ok(stream) => {
                // What lay in the buffers belongs to a conversation that nobody remembers.
                if let Err(error) = stream.clear(true) {
                    warn!(path = %self.path(), %error, "cannot clear the line");
                }
                self.stream = Some(stream);
                self.epoch += 1;
                self.pause = REOPEN_MIN;
                self.not_before = None;
                info!(path = %self.path(), epoch = self.epoch, "serial line open");
                Ok(())
            }
            Err(source) => {
                self.not_before = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(REOPEN_MAX);
                Err(DeviceError::Open { path: self.path(), source })
            }
        }
    }

    /// Keeps trying to open the line until it is open or the deadline has passed.
    ///
    /// # Errors
    /// The last [`DeviceError::Open`].
    pub async fn open_until(&mut self, deadline: Instant) -> Result<(), DeviceError> {
        loop {
            match self.ensure_open().await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Reads what has arrived, at least one byte. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`DeviceError::LineGone`] when the line broke; the next call opens it again.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DeviceError> {
        self.ensure_open().await?;
        let Some(stream) = self.stream.as_mut() else {
            return Err(DeviceError::LineGone { path: self.path() });
        };
        let outcome = stream.read(buffer).await;
        match outcome {
            Ok(0) => Err(self.lost(None)),
            Ok(count) => Ok(count),
            Err(error) => Err(self.lost(Some(error))),
        }
    }

    /// Reads with a limit; `Ok(0)` means that nothing came in time.
    ///
    /// # Errors
    /// As [`Line::read`].
    pub async fn read_until(
        &mut self,
        buffer: &mut [u8],
        deadline: Instant,
    ) -> Result<usize, DeviceError> {
        match tokio::time::timeout_at(deadline, self.read(buffer)).await {
            Ok(outcome) => outcome,
            Err(_) => Ok(0),
        }
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// [`DeviceError::LineGone`] when the line broke, [`DeviceError::Timeout`] when the device
    /// takes no bytes for [`WRITE_LIMIT`]; in both cases part of the bytes may have gone out.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        self.ensure_open().await?;
        let Some(stream) = self.stream.as_mut() else {
            return Err(DeviceError::LineGone { path: self.path() });
        };
        match timeout(WRITE_LIMIT, stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(Some(error))),
            Err(_) => Err(DeviceError::Timeout {
                doing: "writing to the line",
                limit_ms: WRITE_LIMIT.as_millis() as u64,
            }),
        }
    }

    /// Throws away what has arrived and was not read.
    pub fn discard_input(&mut self) {
        if let Some(stream) = &self.stream
            && let Err(error) = stream.clear(false)
        {
            warn!(path = %self.path(), %error, "cannot clear the input of the line");
        }
    }

    /// Closes the line; the next use opens it again.
    pub fn close(&mut self) {
        self.stream = None;
    }

    fn lost(&mut self, error: Option<io::Error>) -> DeviceError {
        warn!(path = %self.path(), error = ?error.map(|e| e.kind()), "serial line lost");
        self.stream = None;
        self.not_before = Some(Instant::now() + self.pause);
        DeviceError::LineGone { path: self.path() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    #[tokio::test]
    async fn a_missing_line_is_the_devices_fault_and_is_tried_with_growing_pauses() {
        let mut line = Line::new(LineConfig::new("/nowhere/at/all", 9600));
        let start = Instant::now();
        let error = line.ensure_open().await.unwrap_err();
        assert!(error.is_line());
        assert_eq!(error.fault(), Fault::Device);
        assert!(error.to_string().contains("/nowhere/at/all"));
        assert!(line.ensure_open().await.is_err());
        assert!(line.ensure_open().await.is_err());
        assert!(Instant::now() - start >= Duration::from_millis(50 + 100));
        assert_eq!(line.pause, Duration::from_millis(400));
        assert!(line.open_until(Instant::now()).await.is_err());
        assert_eq!(line.epoch(), 0);
        assert!(!line.is_open());
    }

    #[tokio::test]
    async fn a_line_behind_a_device_server_is_read_written_emptied_and_opened_again() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let path = format!("{TCP_SCHEME}{}", server.local_addr().unwrap());
        let mut line = Line::new(LineConfig::new(path, 9600));
        line.ensure_open().await.unwrap();
        let (mut device, _) = server.accept().await.unwrap();
        line.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(device.read(&mut buffer).await.unwrap(), 5);
        device.write_all(b"old").await.unwrap();
        let Some(Stream::Tcp(stream)) = &line.stream else { panic!("not over TCP") };
        stream.readable().await.unwrap();
        line.discard_input();
        device.write_all(b"new").await.unwrap();
        assert_eq!(line.read(&mut buffer).await.unwrap(), 3);
        assert_eq!(&buffer[..3], b"new");
        drop(device);
        assert!(line.read(&mut buffer).await.unwrap_err().is_line());
        assert!(!line.is_open());
        line.open_until(Instant::now() + Duration::from_secs(5)).await.unwrap();
        assert_eq!(line.epoch(), 2);
    }
}
