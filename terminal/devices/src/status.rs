//! Status and capability words, named as XFS4IoT names them.

use serde::{Deserialize, Serialize};

/// State of a device as a whole (XFS4IoT Common.Status, property `device`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceState {
    /// The device answers and can work.
    Online,
    /// The device answers but has stopped, for example because its cover is open.
    Offline,
    /// The device answers no more although its line is there.
    PowerOff,
    /// There is no line to the device.
    NoDevice,
    /// The device has an error that only service can clear.
    HardwareError,
    /// A person has to act at the device, for example to take paper out of it.
    UserError,
    /// The device is at work and takes no other order.
    DeviceBusy,
}

/// Where the media is (XFS4IoT Printer.Status and CardReader.Status, property `media`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MediaState {
    /// Media lies in the exit or under the head.
    Present,
    /// There is no media.
    NotPresent,
    /// Media is jammed.
    Jammed,
    /// The device cannot tell by construction.
    NotSupported,
    /// The device can tell in principle, but did not.
    Unknown,
}

/// How much paper there is (XFS4IoT Printer.Status, property `paper`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PaperState {
    /// Enough.
    Full,
    /// Near its end: still prints.
    Low,
    /// None: prints nothing.
    Out,
    /// Jammed.
    Jammed,
    /// Not known.
    Unknown,
}

/// What a card reader can do (XFS4IoT CardReader.Capabilities).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderCapabilities {
    /// Reads track 1 of the stripe.
    pub track1: bool,
    /// Reads track 2 of the stripe.
    pub track2: bool,
    /// Holds the card while it is in use.
    pub holds_card: bool,
}

/// What a card reader says of itself now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderStatus {
    /// State of the reader.
    pub device: DeviceState,
    /// Whether a card is in it; a swipe reader cannot tell.
    pub media: MediaState,
}
