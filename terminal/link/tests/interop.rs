//! A peer that shares nothing with the product but the Noise specification: snow's own default resolver, and its own
//! greeting, framing and envelopes written out by hand.

use std::time::Duration;

use guichet_link::client::{self, ClientConfig, Enrolled};
use guichet_link::code::{EnrolmentCode, EnrolmentSecret};
use guichet_link::hello::Versions;
use guichet_link::keys::{PublicKey, StaticKey, TerminalNumber};
use guichet_link::limits::{MAX_FRAGMENT_BYTES, REKEY_AFTER_FRAMES};
use guichet_link::postbox::Postbox;
use guichet_link::server;
use guichet_link::session::{self, LinkEvent, SessionConfig, SessionEnd};
use guichet_link::store::MemoryStore;
use snow::{Builder, HandshakeState, TransportState};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};

const HELLO_CONNECT: [u8; 13] = [b'G', b'L', b'N', b'K', 1, 0, 1, 0, 1, 0, 0, 0, 7];
const HELLO_ENROL: [u8; 13] = [b'G', b'L', b'N', b'K', 2, 0, 1, 0, 1, 0, 0, 0, 7];
const WELCOME: [u8; 7] = [b'G', b'L', b'N', b'K', 0, 0, 1];

fn prologue(hello: &[u8; 13]) -> Vec<u8> {
    [&b"guichet/terminal-link\0\x0d"[..], hello, &WELCOME].concat()
}

async fn write(io: &mut DuplexStream, frame: &[u8]) {
    let length = u16::try_from(frame.len()).unwrap();
    io.write_all(&length.to_be_bytes()).await.unwrap();
    io.write_all(frame).await.unwrap();
}

async fn read(io: &mut DuplexStream) -> Vec<u8> {
    let mut length = [0; 2];
    io.read_exact(&mut length).await.unwrap();
    let mut frame = vec![0; usize::from(u16::from_be_bytes(length))];
    io.read_exact(&mut frame).await.unwrap();
    frame
}

async fn speak(io: &mut DuplexStream, noise: &mut HandshakeState) {
    let mut message = [0; 256];
    let length = noise.write_message(&[], &mut message).unwrap();
    write(io, &message[..length]).await;
}

async fn hear(io: &mut DuplexStream, noise: &mut HandshakeState) {
    let message = read(io).await;
    noise.read_message(&message, &mut [0; 256]).unwrap();
}

async fn say(io: &mut DuplexStream, noise: &mut TransportState, json: &str) {
    let mut frame = vec![0; json.len() + 17];
    let plain = [&[0], json.as_bytes()].concat();
    let length = noise.write_message(&plain, &mut frame).unwrap();
    write(io, &frame[..length]).await;
}

async fn listen(io: &mut DuplexStream, noise: &mut TransportState) -> serde_json::Value {
    let mut whole = Vec::new();
    loop {
        let frame = read(io).await;
        let mut plain = vec![0; frame.len()];
        let length = noise.read_message(&frame, &mut plain).unwrap();
        whole.extend_from_slice(&plain[1..length]);
        if plain[0] == 0 {
            return serde_json::from_slice(&whole).unwrap();
        }
    }
}

struct Foreign {
    private: Vec<u8>,
    public: PublicKey,
}

fn foreign_key() -> Foreign {
    let pair = Builder::new("Noise_IK_25519_ChaChaPoly_SHA256".parse().unwrap());
    let pair = pair.generate_keypair().unwrap();
    Foreign { public: PublicKey(pair.public.clone().try_into().unwrap()), private: pair.private }
}

#[tokio::test]
async fn a_foreign_terminal_holds_a_session_with_our_center() {
    let (terminal, center) = (foreign_key(), StaticKey::generate().unwrap());
    let (mut io, far) = duplex(1 << 20);
    let postbox = Postbox::new(Box::new(MemoryStore::new().unwrap()));
    let large = "y".repeat(MAX_FRAGMENT_BYTES + 1);
    postbox.post(&large, None).unwrap();
    let (sender, mut events) = mpsc::channel::<LinkEvent<String>>(8);
    let (center_key, registered) = (center.public(), terminal.public);
    let ours = tokio::spawn({
        let postbox = postbox.clone();
        async move {
            let greeted = server::greet(far, Versions::default()).await.unwrap();
            let wire = greeted.connect(&center, Some(&registered)).await.unwrap();
            let (_stop, mut stopped) = watch::channel(None);
            let config = SessionConfig::default();
            session::run(wire, &postbox, &config, &sender, &mut stopped).await
        }
    });
    write(&mut io, &HELLO_CONNECT).await;
    assert_eq!(read(&mut io).await, WELCOME);
    let prologue = prologue(&HELLO_CONNECT);
    let mut noise = Builder::new("Noise_IK_25519_ChaChaPoly_SHA256".parse().unwrap())
        .prologue(&prologue)
        .unwrap()
        .local_private_key(&terminal.private)
        .unwrap()
        .remote_public_key(&center_key.0)
        .unwrap()
        .build_initiator()
        .unwrap();
    speak(&mut io, &mut noise).await;
    hear(&mut io, &mut noise).await;
    let mut noise = noise.into_transport_mode().unwrap();
    assert_eq!(listen(&mut io, &mut noise).await["kind"], "resume");
    let resume = r#"{"v":1,"ack":0,"kind":"resume","stream":"00000000000000aa","first":1,"marks":[],"at":0}"#;
    say(&mut io, &mut noise, resume).await;
    say(&mut io, &mut noise, r#"{"v":1,"ack":0,"kind":"message","seq":1,"body":"hello"}"#).await;
    let message = listen(&mut io, &mut noise).await;
    assert_eq!((&message["seq"], &message["body"]), (&1.into(), &large.into()));
    assert!(matches!(events.recv().await.unwrap(), LinkEvent::Up(_)));
    match events.recv().await.unwrap() {
        LinkEvent::Message(inbound) => {
            assert_eq!(inbound.message, "hello");
            postbox.confirm(inbound.mark.unwrap()).unwrap();
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(listen(&mut io, &mut noise).await["ack"], 1);
    say(&mut io, &mut noise, r#"{"v":1,"ack":1,"kind":"bye","reason":"stopping"}"#).await;
    assert!(matches!(ours.await.unwrap(), SessionEnd::Bye(_)));
    assert_eq!(postbox.waiting(), 0);
}

#[tokio::test]
async fn our_terminal_enrols_and_connects_at_a_foreign_center() {
    let (terminal, center) = (StaticKey::generate().unwrap(), foreign_key());
    let secret = EnrolmentSecret::from_bytes([0x42; 16]);
    let code = EnrolmentCode::new(&center.public, secret);
    // HKDF-SHA256 of sixteen 42h without salt, info "guichet/enrol-psk/1"; computed with the Python package `cryptography`.
    let psk = hex::decode(PSK).unwrap().try_into().unwrap();
    let (near, mut io) = duplex(4096);
    let foreign = async {
        assert_eq!(read(&mut io).await, HELLO_ENROL);
        write(&mut io, &WELCOME).await;
        let prologue = prologue(&HELLO_ENROL);
        let mut noise = Builder::new("Noise_XXpsk3_25519_ChaChaPoly_SHA256".parse().unwrap())
            .prologue(&prologue)
            .unwrap()
            .local_private_key(&center.private)
            .unwrap()
            .psk(3, &psk)
            .unwrap()
            .build_responder()
            .unwrap();
        hear(&mut io, &mut noise).await;
        speak(&mut io, &mut noise).await;
        hear(&mut io, &mut noise).await;
        assert_eq!(noise.get_remote_static(), Some(&terminal.public().0[..]));
        let mut noise = noise.into_transport_mode().unwrap();
        let enrolled = Enrolled { terminal: TerminalNumber(7), program: String::new() };
        say(&mut io, &mut noise, &serde_json::to_string(&enrolled).unwrap()).await;
    };
    let config = ClientConfig::new("nowhere", TerminalNumber(7));
    let ours = client::enrol_over(near, &config, &terminal, &code);
    let (ours, ()) = tokio::join!(ours, foreign);
    assert_eq!(ours.unwrap(), center.public);

    let (near, mut io) = duplex(4096);
    let foreign = async {
        assert_eq!(read(&mut io).await, HELLO_CONNECT);
        write(&mut io, &WELCOME).await;
        let prologue = prologue(&HELLO_CONNECT);
        let mut noise = Builder::new("Noise_IK_25519_ChaChaPoly_SHA256".parse().unwrap())
            .prologue(&prologue)
            .unwrap()
            .local_private_key(&center.private)
            .unwrap()
            .build_responder()
            .unwrap();
        hear(&mut io, &mut noise).await;
        speak(&mut io, &mut noise).await;
        noise.get_handshake_hash().to_vec()
    };
    let ours = client::connect_over(near, &config, &terminal, &center.public);
    let (ours, binding) = tokio::join!(ours, foreign);
    assert_eq!(ours.unwrap().channel().session(), hex::encode(&binding[..8]));
}
const PSK: &str = "7f17af9777351ede4365c317069cf4ca9745733cc71f6e31ebb557982222cc51";

#[tokio::test]
async fn a_foreign_peer_follows_our_rekeying() {
    let (terminal, center) = (foreign_key(), StaticKey::generate().unwrap());
    let (mut io, far) = duplex(1 << 16);
    let (center_key, registered) = (center.public(), terminal.public);
    let ours = tokio::spawn(async move {
        let greeted = server::greet(far, Versions::default()).await.unwrap();
        let wire = greeted.connect(&center, Some(&registered)).await.unwrap();
        let postbox = Postbox::new(Box::new(MemoryStore::new().unwrap()));
        let (sender, _events) = mpsc::channel::<LinkEvent<String>>(8);
        let (_stop, mut stopped) = watch::channel(None);
        let config = SessionConfig { ping_after: Duration::from_secs(60), ..Default::default() };
        session::run(wire, &postbox, &config, &sender, &mut stopped).await
    });
    write(&mut io, &HELLO_CONNECT).await;
    read(&mut io).await;
    let prologue = prologue(&HELLO_CONNECT);
    let mut noise = Builder::new("Noise_IK_25519_ChaChaPoly_SHA256".parse().unwrap())
        .prologue(&prologue)
        .unwrap()
        .local_private_key(&terminal.private)
        .unwrap()
        .remote_public_key(&center_key.0)
        .unwrap()
        .build_initiator()
        .unwrap();
    speak(&mut io, &mut noise).await;
    hear(&mut io, &mut noise).await;
    let mut noise = noise.into_transport_mode().unwrap();
    listen(&mut io, &mut noise).await;
    let resume = r#"{"v":1,"ack":0,"kind":"resume","stream":"00000000000000aa","first":1,"marks":[],"at":0}"#;
    say(&mut io, &mut noise, resume).await;
    // The resume was frame 1; acknowledgements carry the direction over the border of its key.
    for _ in 1..REKEY_AFTER_FRAMES {
        say(&mut io, &mut noise, r#"{"v":1,"ack":0,"kind":"ack"}"#).await;
    }
    noise.rekey_outgoing();
    say(&mut io, &mut noise, r#"{"v":1,"ack":0,"kind":"ping","n":1}"#).await;
    assert_eq!(listen(&mut io, &mut noise).await["kind"], "pong");
    say(&mut io, &mut noise, r#"{"v":1,"ack":0,"kind":"bye","reason":"stopping"}"#).await;
    assert!(matches!(ours.await.unwrap(), SessionEnd::Bye(_)));
}
