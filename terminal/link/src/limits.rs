//! Every bound of the link, in one place.

/// Oldest link protocol that this build still speaks.
pub const PROTOCOL_OLDEST: u16 = 1;
/// Newest link protocol that this build speaks.
pub const PROTOCOL_NEWEST: u16 = 1;

/// Largest Noise message, in bytes (Noise revision 34, section 3).
pub const MAX_FRAME_BYTES: usize = 65_535;
/// Authentication tag of ChaCha20-Poly1305, in bytes (RFC 8439, 2.8).
pub const TAG_BYTES: usize = 16;
/// One byte in front of each fragment: whether more of the same message follows.
pub const FRAGMENT_HEADER_BYTES: usize = 1;
/// Largest part of a message that one frame carries, in bytes.
pub const MAX_FRAGMENT_BYTES: usize = MAX_FRAME_BYTES - TAG_BYTES - FRAGMENT_HEADER_BYTES;
/// Largest application message (an envelope as JSON), in bytes; larger is refused by the sender and ends the session at the receiver.
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;
/// Room that the envelope needs around a body, in bytes.
pub const ENVELOPE_ROOM_BYTES: usize = 512;
/// Largest body (one message of `message.rs` as JSON), in bytes.
pub const MAX_BODY_BYTES: usize = MAX_MESSAGE_BYTES - ENVELOPE_ROOM_BYTES;
/// Frames under one key; then both ends rekey that direction (Noise revision 34, 11.3).
pub const REKEY_AFTER_FRAMES: u64 = 65_536;

/// Largest greeting before the handshake, in bytes.
pub const MAX_HELLO_BYTES: usize = 64;
/// Largest handshake message, in bytes.
pub const MAX_HANDSHAKE_BYTES: usize = 256;

/// Messages that wait for their acknowledgement, if the store's maker names no other bound.
pub const DEFAULT_OUTBOX_MESSAGES: usize = 4_096;
/// Messages read and not yet taken by the program, before reading pauses.
pub const PAUSE_READING_MESSAGES: usize = 64;
/// Bytes of such messages, before reading pauses.
pub const PAUSE_READING_BYTES: usize = 4 * MAX_MESSAGE_BYTES;
/// Passing messages (not stored) that wait to be written.
pub const MAX_PASSING: usize = 32;
/// Messages written ahead of the peer's acknowledgement; a peer that writes more ends the session.
pub const MAX_IN_FLIGHT: u64 = 256;
/// Bytes that wait to be written before no more messages are taken from the outbox.
pub const WRITE_AHEAD_BYTES: usize = 262_144;
/// Bytes read from the socket at a time.
pub const READ_CHUNK_BYTES: usize = 16_384;

/// Streams whose high-water mark the store remembers; the oldest is forgotten first.
pub const MAX_STREAMS: usize = 8;
