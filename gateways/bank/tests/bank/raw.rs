//! A host of a few lines that signs the gateway on and then says what nobody asked for.

use std::future::Future;

use guichet_iso8583::{Dialect, KeyPart, Message, Mti};
use guichet_sandbox::bank::TEST_ZONE_MASTER_KEY;
use guichet_sandbox::bank::crypto::{ZoneKey, mac};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::Rig;

pub struct RawHost {
    pub rig: Rig,
}

/// Runs a test against a host that answers the sign-on and then approves an unknown request.
pub fn against_a_raw_host<F: Future<Output = ()>>(test: impl Fn(RawHost) -> F) {
    Rig::runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address").to_string();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("connection");
            serve(stream).await;
        });
        let rig = Rig::at("ascii", &address, TEST_ZONE_MASTER_KEY);
        test(RawHost { rig }).await;
        serving.abort();
    });
}

async fn serve(mut stream: TcpStream) {
    let dialect = Dialect::named("ascii").expect("dialect");
    let master = ZoneKey::new(&hex::decode(TEST_ZONE_MASTER_KEY).expect("hex")).expect("key");
    let working = ZoneKey::random(16).expect("key");
    let mut buffer = Vec::new();
    let frame = loop {
        if let Some(frame) = dialect.deframe(&buffer).expect("frame") {
            break frame;
        }
        if stream.read_buf(&mut buffer).await.expect("read") == 0 {
            return;
        }
    };
    let request = dialect.unpack(&buffer[frame.body]).expect("sign-on");
    let mut answer = dialect.answer_to(&request).expect("answer").with(39, "00");
    let (wrapped, check) = (working.wrapped_under(&master), working.check_value(3));
    let find = |part: KeyPart, _: usize| match part {
        KeyPart::Pin | KeyPart::Mac => Some(wrapped.as_slice()),
        KeyPart::PinCheck | KeyPart::MacCheck => Some(check.as_slice()),
        KeyPart::Zero => None,
    };
    assert!(dialect.set_zone_keys(&mut answer, find));
    write(&dialect, &mut stream, &dialect.pack(&answer).expect("pack")).await;
    // A wrong MAC is never believed; the same message with the right one is.
    for spoil in [true, false] {
        let approval = Message::new(Mti::parse("0110").expect("mti"))
            .with(4, "000000004200")
            .with(7, "0101000000")
            .with(11, "009999")
            .with(37, "NOBODY000001")
            .with(38, "X00001")
            .with(39, "00")
            .with(41, "T0000009")
            .with(49, "156");
        let unsigned = dialect.pack_unsigned(&approval).expect("pack");
        let spec = dialect.mac().expect("mac");
        let mut code = mac(&working, spec.algorithm, unsigned.covered());
        if spoil {
            code[7] ^= 0x10;
        }
        write(&dialect, &mut stream, &unsigned.seal(&code)).await;
    }
    // What a bank may ask by itself: an echo, a cutover, new keys, a payment.
    for (mti, asked) in [("0800", "301"), ("0800", "201"), ("0800", "161"), ("0200", "000")] {
        let request = Message::new(Mti::parse(mti).expect("mti"))
            .with(7, "0101000001")
            .with(11, "000077")
            .with(15, "0102")
            .with(70, asked);
        write(&dialect, &mut stream, &dialect.pack(&request).expect("pack")).await;
    }
    // Stay connected until the gateway leaves.
    while stream.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

async fn write(dialect: &Dialect, stream: &mut TcpStream, body: &[u8]) {
    let frame = dialect.frame(body, dialect.routing()).expect("frame");
    stream.write_all(&frame).await.expect("write");
}
