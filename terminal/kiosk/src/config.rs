//! What a terminal is told once, at its start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guichet_link::client::ClientConfig;
use guichet_link::keys::TerminalNumber;

use crate::flow::Timeouts;

/// Serial lines of the devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePaths {
    /// Card reader.
    pub card_reader: PathBuf,
    /// PIN pad.
    pub pin_pad: PathBuf,
    /// Ticket printer.
    pub ticket_printer: PathBuf,
    /// Receipt printer.
    pub receipt_printer: PathBuf,
}

impl DevicePaths {
    /// The lines `card-reader`, `pin-pad`, `ticket-printer`, `receipt-printer` in a directory.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            card_reader: dir.join("card-reader"),
            pin_pad: dir.join("pin-pad"),
            ticket_printer: dir.join("ticket-printer"),
            receipt_printer: dir.join("receipt-printer"),
        }
    }
}

/// Settings of a terminal.
#[derive(Clone, Debug)]
pub struct KioskConfig {
    /// Directory of the terminal's own journal; made with mode 0700.
    pub data_dir: PathBuf,
    /// `host:port` of the center's terminal listener.
    pub center_addr: String,
    /// The one-time code, needed until the terminal is enrolled.
    pub enrolment_code: Option<String>,
    /// The terminal's number.
    pub terminal: u32,
    /// Serial lines.
    pub devices: DevicePaths,
    /// Where the screen is served; port 0 takes a free one.
    pub screen_addr: SocketAddr,
    /// Whether the screen is served; else only who holds the [`crate::Running`] sees and touches it.
    pub serve_screen: bool,
    /// How long people are waited for.
    pub timeouts: Timeouts,
    /// How long a printed ticket may lie in the exit before the machine keeps it.
    pub take_within: Duration,
    /// How long the restart waits for a printer that should tell what became of a print.
    pub recall_within: Duration,
    /// Languages, the first of which greets the next person: `zh`, `en`.
    pub languages: Vec<String>,
    /// Serves `/preview`, every screen from sample data. Never at a real terminal.
    pub preview: bool,
    /// Ends the process at the n-th reaching (from 1) of a named step, for crash tests.
    pub crash_at: Option<(String, u32)>,
    /// Times of the link, for tests; `None` takes the usual ones.
    pub link: Option<ClientConfig>,
}

impl KioskConfig {
    /// Usual settings.
    #[must_use]
    pub fn new(
        data_dir: PathBuf,
        center_addr: impl Into<String>,
        terminal: u32,
        devices: DevicePaths,
    ) -> Self {
        Self {
            data_dir,
            center_addr: center_addr.into(),
            enrolment_code: None,
            terminal,
            devices,
            screen_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            serve_screen: true,
            timeouts: Timeouts::default(),
            take_within: Duration::from_secs(30),
            recall_within: Duration::from_secs(20),
            languages: vec!["zh".into(), "en".into()],
            preview: false,
            crash_at: None,
            link: None,
        }
    }

    /// The link's settings.
    pub(crate) fn client(&self) -> ClientConfig {
        let usual = ClientConfig::new(&self.center_addr, TerminalNumber(self.terminal));
        self.link.clone().unwrap_or(usual)
    }
}
