//! The encrypted channel after the handshake: messages in, frames out, and back. No sockets, no time.

use snow::{HandshakeState, TransportState};
use zeroize::Zeroizing;

use crate::frame::{FrameError, put_frame};
use crate::keys::PublicKey;
use crate::limits::{
    FRAGMENT_HEADER_BYTES, MAX_FRAGMENT_BYTES, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES,
    REKEY_AFTER_FRAMES, TAG_BYTES,
};

/// Fault of the channel; after the first one the channel is dead.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// A frame does not authenticate: changed, replayed, out of order, or of another session.
    #[error("a frame does not authenticate")]
    Forged,
    /// The handshake did not give what a channel needs.
    #[error("the handshake is not complete")]
    Handshake,
    /// A message above `MAX_MESSAGE_BYTES`.
    #[error("a message is larger than {MAX_MESSAGE_BYTES} bytes")]
    TooLarge,
    /// A message of no bytes.
    #[error("a message is empty")]
    Empty,
    /// A fragment mark that is neither 0 nor 1, or an empty fragment.
    #[error("a fragment is malformed")]
    Fragment,
    /// An earlier fault ended the channel.
    #[error("the channel has ended")]
    Dead,
    /// The frame could not be built.
    #[error("a frame cannot be built")]
    Frame(#[from] FrameError),
}

/// Both directions of one session's encryption.
pub struct Channel {
    noise: Option<TransportState>,
    sent_frames: u64,
    received_frames: u64,
    partial: Zeroizing<Vec<u8>>,
    peer: PublicKey,
    binding: [u8; 32],
    version: u16,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Channel {
    /// Takes over a finished handshake.
    ///
    /// # Errors
    /// `Handshake` if it is not finished or names no peer.
    pub(crate) fn new(handshake: HandshakeState, version: u16) -> Result<Self, ChannelError> {
        let peer = handshake.get_remote_static().and_then(|key| key.try_into().ok());
        let peer = PublicKey(peer.ok_or(ChannelError::Handshake)?);
        let mut binding = [0; 32];
        binding.copy_from_slice(handshake.get_handshake_hash());
        let noise = handshake.into_transport_mode().map_err(|_| ChannelError::Handshake)?;
        Ok(Self {
            noise: Some(noise),
            sent_frames: 0,
            received_frames: 0,
            partial: Zeroizing::new(Vec::new()),
            peer,
            binding,
            version,
        })
    }

    /// The peer's static key, proved by the handshake.
    #[must_use]
    pub fn peer(&self) -> PublicKey {
        self.peer
    }

    /// The protocol version both agreed on.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Name of this session: the first 8 bytes of the handshake hash (Noise revision 34, 11.2), in hexadecimal.
    #[must_use]
    pub fn session(&self) -> String {
        self.binding[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Encrypts `message` and appends its frames, lengths included, to `out`.
    ///
    /// # Errors
    /// `TooLarge` and `Empty` leave the channel alive; any other ends it.
    pub fn seal(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), ChannelError> {
        if message.is_empty() {
            return Err(ChannelError::Empty);
        }
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(ChannelError::TooLarge);
        }
        let mut fragments = message.chunks(MAX_FRAGMENT_BYTES).peekable();
        while let Some(fragment) = fragments.next() {
            let more = u8::from(fragments.peek().is_some());
            if let Err(fault) = self.seal_fragment(more, fragment, out) {
                self.noise = None;
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Decrypts one frame; gives the message that it completes.
    ///
    /// # Errors
    /// Any fault ends the channel: nothing after a bad frame is trusted.
    pub fn open(&mut self, frame: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ChannelError> {
        let outcome = self.open_fragment(frame);
        if outcome.is_err() {
            self.noise = None;
            self.partial = Zeroizing::new(Vec::new());
        }
        outcome
    }

    fn seal_fragment(
        &mut self,
        more: u8,
        fragment: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ChannelError> {
        let noise = self.noise.as_mut().ok_or(ChannelError::Dead)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(fragment.len() + FRAGMENT_HEADER_BYTES));
        plain.push(more);
        plain.extend_from_slice(fragment);
        let mut frame = vec![0u8; plain.len() + TAG_BYTES];
        let written =
            noise.write_message(&plain, &mut frame).map_err(|_| ChannelError::Handshake)?;
        put_frame(&frame[..written], out)?;
        self.sent_frames += 1;
        if self.sent_frames.is_multiple_of(REKEY_AFTER_FRAMES) {
            noise.rekey_outgoing();
        }
        Ok(())
    }

    fn open_fragment(&mut self, frame: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ChannelError> {
        let noise = self.noise.as_mut().ok_or(ChannelError::Dead)?;
        if frame.len() > MAX_FRAME_BYTES {
            return Err(ChannelError::Forged);
        }
        let mut plain = Zeroizing::new(vec![0u8; frame.len()]);
        let length = noise.read_message(frame, &mut plain).map_err(|_| ChannelError::Forged)?;
        self.received_frames += 1;
        if self.received_frames.is_multiple_of(REKEY_AFTER_FRAMES) {
            noise.rekey_incoming();
        }
        let (mark, fragment) = plain[..length].split_first().ok_or(ChannelError::Fragment)?;
        if fragment.is_empty() || *mark > 1 {
            return Err(ChannelError::Fragment);
        }
        if self.partial.len() + fragment.len() > MAX_MESSAGE_BYTES {
            return Err(ChannelError::TooLarge);
        }
        self.partial.extend_from_slice(fragment);
        if *mark == 1 {
            return Ok(None);
        }
        Ok(Some(std::mem::replace(&mut self.partial, Zeroizing::new(Vec::new()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::split_frame;
    use crate::handshake::{connect_initiator, connect_responder};
    use crate::keys::StaticKey;
    use proptest::prelude::*;

    fn pair() -> (Channel, Channel) {
        let (terminal, center) = (StaticKey::generate().unwrap(), StaticKey::generate().unwrap());
        let mut a = connect_initiator(&terminal, &center.public(), b"p").unwrap();
        let mut b = connect_responder(&center, b"p").unwrap();
        let (mut one, mut two) = ([0; 128], [0; 128]);
        let n = a.write_message(&[], &mut one).unwrap();
        b.read_message(&one[..n], &mut two).unwrap();
        let n = b.write_message(&[], &mut one).unwrap();
        a.read_message(&one[..n], &mut two).unwrap();
        (Channel::new(a, 1).unwrap(), Channel::new(b, 1).unwrap())
    }

    fn frames(channel: &mut Channel, message: &[u8]) -> Vec<Vec<u8>> {
        let mut wire = Vec::new();
        channel.seal(message, &mut wire).unwrap();
        let mut frames = Vec::new();
        let mut rest = wire.as_slice();
        while let Some((length, frame)) = split_frame(rest, MAX_FRAME_BYTES).unwrap() {
            frames.push(frame.to_vec());
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        frames
    }

    #[test]
    fn messages_of_every_size_arrive_whole() {
        let (mut a, mut b) = pair();
        let sizes = [1, MAX_FRAGMENT_BYTES, MAX_FRAGMENT_BYTES + 1, MAX_MESSAGE_BYTES];
        for (size, count) in sizes.into_iter().zip([1, 1, 2, 17]) {
            let message: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let frames = frames(&mut a, &message);
            assert_eq!(frames.len(), count);
            let (last, first) = frames.split_last().unwrap();
            for frame in first {
                assert!(b.open(frame).unwrap().is_none());
            }
            assert_eq!(*b.open(last).unwrap().unwrap(), message);
        }
        let mut out = Vec::new();
        let large = vec![0; MAX_MESSAGE_BYTES + 1];
        assert!(matches!(a.seal(&large, &mut out), Err(ChannelError::TooLarge)));
        assert!(matches!(a.seal(&[], &mut out), Err(ChannelError::Empty)));
        assert!(out.is_empty() && a.seal(b"still alive", &mut out).is_ok());
    }

    #[test]
    fn a_message_that_never_ends_is_cut_off() {
        let (mut a, mut b) = pair();
        let mut opened = 0;
        let fault = loop {
            let mut wire = Vec::new();
            a.seal_fragment(1, &vec![0; MAX_FRAGMENT_BYTES], &mut wire).unwrap();
            match b.open(&wire[2..]) {
                Ok(None) => opened += 1,
                Ok(Some(_)) => panic!("nothing was complete"),
                Err(fault) => break fault,
            }
        };
        assert!(matches!(fault, ChannelError::TooLarge) && opened == 16, "{fault} {opened}");
    }

    #[test]
    fn each_flipped_bit_ends_the_channel() {
        let (mut a, _) = pair();
        let length = frames(&mut a, b"print ticket 7").remove(0).len();
        for bit in 0..length * 8 {
            let (mut a, mut b) = pair();
            let good = frames(&mut a, b"print ticket 7").remove(0);
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(b.open(&bad), Err(ChannelError::Forged)), "bit {bit}");
            assert!(matches!(b.open(&good), Err(ChannelError::Dead)), "bit {bit}");
        }
    }

    #[test]
    fn replayed_reordered_and_foreign_frames_end_the_channel() {
        let (mut a, mut b) = pair();
        let first = frames(&mut a, b"first").remove(0);
        assert!(b.open(&first).unwrap().is_some());
        assert!(matches!(b.open(&first), Err(ChannelError::Forged)));

        let (mut a, mut b) = pair();
        let _skipped = frames(&mut a, b"first");
        let second = frames(&mut a, b"second").remove(0);
        assert!(matches!(b.open(&second), Err(ChannelError::Forged)));

        let (_, mut other) = pair();
        assert!(matches!(other.open(&first), Err(ChannelError::Forged)));
    }

    #[test]
    fn malformed_fragments_end_the_channel() {
        for (mark, fragment) in [(2, &b"x"[..]), (0, b""), (1, b"")] {
            let (mut a, mut b) = pair();
            let mut wire = Vec::new();
            a.seal_fragment(mark, fragment, &mut wire).unwrap();
            assert!(matches!(b.open(&wire[2..]), Err(ChannelError::Fragment)));
        }
    }

    #[test]
    fn both_ends_rekey_together() {
        let (mut a, mut b) = pair();
        for at in 0..REKEY_AFTER_FRAMES + 2 {
            let frame = frames(&mut a, &at.to_be_bytes()).remove(0);
            assert_eq!(*b.open(&frame).unwrap().unwrap(), at.to_be_bytes());
        }
        let frame = frames(&mut b, b"back").remove(0);
        assert!(a.open(&frame).unwrap().is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_frames_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (_, mut b) = pair();
            prop_assert!(b.open(&bytes).is_err());
        }
    }
}
