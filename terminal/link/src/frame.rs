//! Frames on the wire: a length of two bytes, big-endian, then that many bytes.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::limits::{MAX_FRAME_BYTES, READ_CHUNK_BYTES};

/// Fault of the framing; each ends the session.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer closed between two frames.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer closed inside a frame.
    #[error("the connection ended inside a frame")]
    Truncated,
    /// A frame of no bytes.
    #[error("a frame is empty")]
    Empty,
    /// A frame larger than this phase of the session allows.
    #[error("a frame of {bytes} bytes is larger than the {limit} allowed here")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit of the phase.
        limit: usize,
    },
    /// The socket failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
}

/// Cuts the first frame out of `buffer`: its whole length on the wire and its bytes, or `None` if more are needed.
///
/// # Errors
/// `Empty`, or `TooLarge` for a length above `limit`.
pub fn split_frame(buffer: &[u8], limit: usize) -> Result<Option<(usize, &[u8])>, FrameError> {
    let Some((head, rest)) = buffer.split_first_chunk::<2>() else {
        return Ok(None);
    };
    let bytes = usize::from(u16::from_be_bytes(*head));
    if bytes == 0 {
        return Err(FrameError::Empty);
    }
    if bytes > limit {
        return Err(FrameError::TooLarge { bytes, limit });
    }
    Ok(rest.get(..bytes).map(|frame| (bytes + 2, frame)))
}

/// Appends one frame to `out`.
///
/// # Errors
/// `Empty` or `TooLarge`.
pub fn put_frame(frame: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    if frame.is_empty() {
        return Err(FrameError::Empty);
    }
    let too_large = FrameError::TooLarge { bytes: frame.len(), limit: MAX_FRAME_BYTES };
    let length = u16::try_from(frame.len()).map_err(|_| too_large)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(frame);
    Ok(())
}

/// Reads frames from a stream; `next` may be cancelled without losing bytes.
#[derive(Debug)]
pub struct FrameReader<R> {
    io: R,
    buffer: Vec<u8>,
    used: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `io`.
    pub fn new(io: R) -> Self {
        Self { io, buffer: Vec::new(), used: 0 }
    }

    /// Gives the next frame of at most `limit` bytes. Cancel safe.
    ///
    /// # Errors
    /// Any `FrameError`; the stream is of no use afterwards.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<u8>, FrameError> {
        loop {
            if let Some((length, frame)) = split_frame(&self.buffer[self.used..], limit)? {
                let frame = frame.to_vec();
                self.used += length;
                return Ok(frame);
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            self.buffer.reserve(READ_CHUNK_BYTES);
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                let inside = !self.buffer.is_empty();
                return Err(if inside { FrameError::Truncated } else { FrameError::Closed });
            }
        }
    }
}

/// Writes one frame and flushes.
///
/// # Errors
/// `Empty`, `TooLarge` or `Io`.
pub async fn write_frame<W>(io: &mut W, frame: &[u8]) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin,
{
    let mut out = Vec::with_capacity(frame.len() + 2);
    put_frame(frame, &mut out)?;
    io.write_all(&out).await?;
    io.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_hold_at_their_edge() {
        let mut wire = Vec::new();
        put_frame(&vec![7; MAX_FRAME_BYTES], &mut wire).unwrap();
        assert_eq!(split_frame(&wire, MAX_FRAME_BYTES).unwrap().unwrap().0, wire.len());
        assert!(matches!(
            put_frame(&vec![7; MAX_FRAME_BYTES + 1], &mut wire),
            Err(FrameError::TooLarge { .. })
        ));
        assert!(matches!(put_frame(&[], &mut wire), Err(FrameError::Empty)));
        assert!(split_frame(&[0, 64], 64).unwrap().is_none());
        assert!(matches!(
            split_frame(&[0, 65], 64),
            Err(FrameError::TooLarge { bytes: 65, limit: 64 })
        ));
        assert!(matches!(split_frame(&[0, 0, 1], 64), Err(FrameError::Empty)));
    }

    #[tokio::test]
    async fn every_truncation_is_told_from_an_orderly_end() {
        let mut wire = Vec::new();
        put_frame(b"one", &mut wire).unwrap();
        put_frame(b"two!", &mut wire).unwrap();
        for cut in 0..=wire.len() {
            let mut reader = FrameReader::new(&wire[..cut]);
            let mut frames = 0;
            let end = loop {
                match reader.next(16).await {
                    Ok(_) => frames += 1,
                    Err(end) => break end,
                }
            };
            assert_eq!(frames, usize::from(cut >= 5) + usize::from(cut >= 11), "cut {cut}");
            assert_eq!(matches!(end, FrameError::Closed), [0, 5, 11].contains(&cut), "cut {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_split_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300), limit in 1usize..400) {
            if let Ok(Some((length, frame))) = split_frame(&bytes, limit) {
                prop_assert!(length == frame.len() + 2 && frame.len() <= limit && length <= bytes.len());
            }
        }
    }
}
