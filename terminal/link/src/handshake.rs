//! The two Noise handshakes (revision 34): `XXpsk3` enrols, `IK` connects. No sockets, no time.

use snow::{Builder, HandshakeState};

use crate::code::EnrolmentSecret;
use crate::keys::{PublicKey, StaticKey};
use crate::resolver::Primitives;

/// Noise protocol of an enrolled terminal's session.
pub const CONNECT_PATTERN: &str = "Noise_IK_25519_ChaChaPoly_SHA256";
/// Noise protocol of an enrolment.
pub const ENROL_PATTERN: &str = "Noise_XXpsk3_25519_ChaChaPoly_SHA256";

const PSK_PLACE: u8 = 3;

/// Starts a session at the terminal.
pub(crate) fn connect_initiator(
    own: &StaticKey,
    center: &PublicKey,
    prologue: &[u8],
) -> Result<HandshakeState, snow::Error> {
    builder(CONNECT_PATTERN)?
        .prologue(prologue)?
        .local_private_key(own.expose())?
        .remote_public_key(&center.0)?
        .build_initiator()
}

/// Answers a session at the center.
pub(crate) fn connect_responder(
    own: &StaticKey,
    prologue: &[u8],
) -> Result<HandshakeState, snow::Error> {
    builder(CONNECT_PATTERN)?.prologue(prologue)?.local_private_key(own.expose())?.build_responder()
}

/// Starts an enrolment at the terminal.
pub(crate) fn enrol_initiator(
    own: &StaticKey,
    secret: &EnrolmentSecret,
    prologue: &[u8],
) -> Result<HandshakeState, snow::Error> {
    builder(ENROL_PATTERN)?
        .prologue(prologue)?
        .local_private_key(own.expose())?
        .psk(PSK_PLACE, &secret.psk())?
        .build_initiator()
}

/// Answers an enrolment at the center.
pub(crate) fn enrol_responder(
    own: &StaticKey,
    secret: &EnrolmentSecret,
    prologue: &[u8],
) -> Result<HandshakeState, snow::Error> {
    builder(ENROL_PATTERN)?
        .prologue(prologue)?
        .local_private_key(own.expose())?
        .psk(PSK_PLACE, &secret.psk())?
        .build_responder()
}

fn builder(pattern: &str) -> Result<Builder<'static>, snow::Error> {
    Ok(Builder::with_resolver(pattern.parse()?, Box::new(Primitives)))
}
