//! Both ends of the link against each other over real sockets and cut wires.

mod coming_back;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use guichet_link::client::{self, ClientConfig, ClientFault};
use guichet_link::code::{EnrolmentCode, EnrolmentSecret};
use guichet_link::envelope::{ByeReason, Mark};
use guichet_link::hello::{Mode, Refusal, Versions};
use guichet_link::keys::{PublicKey, StaticKey, TerminalNumber};
use guichet_link::limits::MAX_IN_FLIGHT;
use guichet_link::postbox::{PassError, Postbox};
use guichet_link::server::{self, ServerFault};
use guichet_link::session::{self, LinkEvent, SessionConfig, SessionEnd};
use guichet_link::store::{LinkStore, MemoryStore, StoreError, Stored};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
const NUMBER: TerminalNumber = TerminalNumber(7);

type Events = mpsc::Receiver<LinkEvent<String>>;

/// One end of a link with the task of its current session.
struct End {
    postbox: Postbox,
    events: Events,
    sender: mpsc::Sender<LinkEvent<String>>,
    config: SessionConfig,
}

/// A running session of one end.
struct Running {
    task: JoinHandle<SessionEnd>,
    stop: watch::Sender<Option<ByeReason>>,
}

impl Running {
    async fn end(self) -> SessionEnd {
        timeout(PATIENCE, self.task).await.expect("ends").expect("no panic")
    }
}

impl End {
    fn new() -> Self {
        Self::on(Box::new(MemoryStore::new().unwrap()))
    }
    fn on(store: Box<dyn LinkStore>) -> Self {
        let (sender, events) = mpsc::channel(16);
        let config = SessionConfig::default();
        Self { postbox: Postbox::new(store), events, sender, config }
    }
    fn start<S>(&self, wire: client::SplitWire<S>) -> Running
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (stop, mut stopped) = watch::channel(None);
        let (postbox, config, sender) =
            (self.postbox.clone(), self.config.clone(), self.sender.clone());
        let task = tokio::spawn(async move {
            session::run(wire, &postbox, &config, &sender, &mut stopped).await
        });
        Running { task, stop }
    }
    async fn event(&mut self) -> LinkEvent<String> {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("open")
    }
    async fn up(&mut self) -> session::Up {
        match self.event().await {
            LinkEvent::Up(up) => up,
            other => panic!("instead of up: {other:?}"),
        }
    }
    async fn message(&mut self) -> (Option<Mark>, String, bool) {
        match self.event().await {
            LinkEvent::Message(inbound) => {
                let late = inbound.is_late();
                (inbound.mark, inbound.message, late)
            }
            other => panic!("instead of a message: {other:?}"),
        }
    }
    async fn take(&mut self) -> String {
        let (mark, message, _) = self.message().await;
        self.postbox.confirm(mark.expect("numbered")).unwrap();
        message
    }
}

struct Keys {
    terminal: StaticKey,
    center: StaticKey,
}

fn keys() -> Keys {
    Keys { terminal: StaticKey::generate().unwrap(), center: StaticKey::generate().unwrap() }
}

fn config() -> ClientConfig {
    ClientConfig::new("nowhere", NUMBER)
}

/// What a relay between the ends does to the bytes that the terminal writes.
#[derive(Clone, Default)]
struct Tamper {
    /// Both directions end after so many bytes.
    cut_after: Option<usize>,
    /// This bit, counted from the first byte, is flipped.
    flip_bit: Option<usize>,
    /// Everything written is kept.
    record: Arc<Mutex<Vec<u8>>>,
}

/// Bytes that a terminal writes until the handshake is done: greeting and first message with their lengths.
const HANDSHAKE_BYTES: usize = 2 + 13 + 2 + 96;

/// Two ends of a wire with a relay between them.
fn relay(tamper: Tamper) -> (DuplexStream, DuplexStream) {
    let (near, near_end) = duplex(4096);
    let (far_end, far) = duplex(4096);
    tokio::spawn(async move {
        let (mut near_in, mut near_out) = tokio::io::split(near_end);
        let (mut far_in, mut far_out) = tokio::io::split(far_end);
        let forth = async {
            let (mut at, mut chunk) = (0, [0; 512]);
            while let Ok(count @ 1..) = near_in.read(&mut chunk).await {
                if let Some(bit) = tamper.flip_bit.filter(|b| (at..at + count).contains(&(b / 8))) {
                    chunk[bit / 8 - at] ^= 1 << (bit % 8);
                }
                let left = tamper.cut_after.map_or(count, |cut| count.min(cut - at));
                tamper.record.lock().unwrap().extend_from_slice(&chunk[..left]);
                at += left;
                let gone = far_out.write_all(&chunk[..left]).await.is_err();
                if gone || tamper.cut_after == Some(at) {
                    break;
                }
            }
        };
        let back = tokio::io::copy(&mut far_in, &mut near_out);
        tokio::select! { () = forth => {} _ = back => {} }
    });
    (near, far)
}

type Piped = client::SplitWire<DuplexStream>;

/// Handshakes over a relayed wire.
async fn handshake(keys: &Keys, tamper: Tamper) -> (Piped, Piped) {
    let (near, far) = relay(tamper);
    let center_key = keys.center.public();
    let config = config();
    let terminal_key = keys.terminal.public();
    let center = async {
        let greeted = server::greet(far, Versions::default()).await.unwrap();
        assert_eq!((greeted.hello().mode, greeted.hello().terminal), (Mode::Connect, NUMBER));
        greeted.connect(&keys.center, Some(&terminal_key)).await.unwrap()
    };
    let terminal = client::connect_over(near, &config, &keys.terminal, &center_key);
    let (terminal, center) = tokio::join!(terminal, center);
    (terminal.unwrap(), center)
}

#[tokio::test]
async fn messages_go_both_ways_in_order_and_are_acknowledged() {
    let keys = keys();
    let (mut terminal, mut center) = (End::new(), End::new());
    terminal.postbox.post(&"before the session", None).unwrap();
    let (near, far) = handshake(&keys, Tamper::default()).await;
    assert_eq!(near.channel().session(), far.channel().session());
    assert_eq!(far.channel().peer(), keys.terminal.public());
    let (a, b) = (terminal.start(near), center.start(far));
    assert_eq!(terminal.up().await.session, center.up().await.session);
    for n in 0..40 {
        terminal.postbox.post(&format!("fact {n}"), None).unwrap();
        center.postbox.post(&format!("instruction {n}"), None).unwrap();
    }
    terminal.postbox.pass(&"request", None).unwrap();
    assert_eq!(center.take().await, "before the session");
    let mut facts = Vec::new();
    while facts.len() < 40 {
        match center.message().await {
            (None, request, false) => assert_eq!(request, "request"),
            (Some(mark), fact, _) => {
                center.postbox.confirm(mark).unwrap();
                facts.push(fact);
            }
            other => panic!("{other:?}"),
        }
    }
    for (n, fact) in facts.iter().enumerate() {
        assert_eq!(*fact, format!("fact {n}"));
        assert_eq!(terminal.take().await, format!("instruction {n}"));
    }
    timeout(PATIENCE, terminal.postbox.drained_to(0)).await.unwrap();
    timeout(PATIENCE, center.postbox.drained_to(0)).await.unwrap();
    a.stop.send_replace(Some(ByeReason::Stopping));
    assert!(matches!(a.end().await, SessionEnd::Stopped));
    assert!(matches!(b.end().await, SessionEnd::Bye(ByeReason::Stopping)));
    assert!(matches!(terminal.postbox.pass(&"late", None), Err(PassError::Down)));
}

/// The wire is cut after every possible number of bytes; each message still arrives exactly once, in order.
#[tokio::test]
async fn a_wire_cut_anywhere_loses_and_doubles_nothing() {
    const MESSAGES: usize = 12;
    let keys = keys();
    let (mut terminal, mut center) = (End::new(), End::new());
    for n in 0..MESSAGES {
        terminal.postbox.post(&format!("fact {n}"), None).unwrap();
    }
    let (mut got, mut cuts) = (Vec::new(), 0);
    let mut budget = 150;
    while got.len() < MESSAGES || terminal.postbox.waiting() > 0 {
        let cut_after = Some(HANDSHAKE_BYTES + budget);
        let (near, far) = handshake(&keys, Tamper { cut_after, ..Tamper::default() }).await;
        let (a, b) = (terminal.start(near), center.start(far));
        loop {
            tokio::select! {
                event = center.events.recv() => match event.unwrap() {
                    LinkEvent::Message(inbound) => {
                        center.postbox.confirm(inbound.mark.unwrap()).unwrap();
                        got.push(inbound.message);
                    }
                    LinkEvent::Up(_) => {}
                    other => panic!("{other:?}"),
                },
                () = terminal.postbox.drained_to(0) => break,
                () = tokio::task::yield_now(), if b.task.is_finished() && center.events.is_empty() => break,
            }
        }
        b.stop.send_replace(Some(ByeReason::Stopping));
        drop(b.end().await);
        drop(a.end().await);
        while terminal.events.try_recv().is_ok() {}
        cuts += 1;
        budget += 37;
        assert!(cuts < 500, "no progress");
    }
    let expected: Vec<_> = (0..MESSAGES).map(|n| format!("fact {n}")).collect();
    assert_eq!(got, expected);
    assert!(cuts > 3, "the wire was cut only {cuts} times");
}

#[tokio::test]
async fn one_flipped_bit_on_the_wire_ends_both_sessions() {
    let keys = keys();
    for bit in [0usize, 17, 130, 400, 999] {
        let (terminal, mut center) = (End::new(), End::new());
        // Behind the length of the first encrypted frame.
        let flip_bit = Some((HANDSHAKE_BYTES + 2) * 8 + bit);
        let (near, far) = handshake(&keys, Tamper { flip_bit, ..Tamper::default() }).await;
        terminal.postbox.post(&"x".repeat(200), None).unwrap();
        let (a, b) = (terminal.start(near), center.start(far));
        let end = b.end().await;
        assert!(matches!(end, SessionEnd::Channel(_)), "bit {bit}: {end}");
        assert!(matches!(a.end().await, SessionEnd::Frame(_)), "bit {bit}");
        while let Ok(event) = center.events.try_recv() {
            assert!(!matches!(event, LinkEvent::Message(_)), "bit {bit}");
        }
    }
}

#[tokio::test]
async fn wrong_keys_prologue_and_codes_are_refused() {
    let keys = keys();
    let other = StaticKey::generate().unwrap();
    // (the center registered, the terminal believes in, what the terminal sees)
    let right = keys.terminal.public();
    type Fits = fn(&ServerFault) -> bool;
    let cases: [(Option<PublicKey>, PublicKey, Fits); 3] = [
        (Some(other.public()), keys.center.public(), |f| matches!(f, ServerFault::UnknownKey)),
        (None, keys.center.public(), |f| matches!(f, ServerFault::UnknownKey)),
        (Some(right), other.public(), |f| matches!(f, ServerFault::Handshake(_))),
    ];
    for (registered, believed, fits) in cases {
        let (near, far) = duplex(4096);
        let center = async {
            let greeted = server::greet(far, Versions::default()).await.unwrap();
            greeted.connect(&keys.center, registered.as_ref()).await
        };
        let config = config();
        let terminal = client::connect_over(near, &config, &keys.terminal, &believed);
        let (terminal, center) = tokio::join!(terminal, center);
        assert!(fits(&center.unwrap_err()));
        assert!(matches!(terminal.unwrap_err(), ClientFault::Refused(Refusal::Denied)));
    }
}

#[tokio::test]
async fn a_greeting_changed_on_the_way_breaks_the_handshake() {
    let keys = keys();
    // The terminal number, then the version range: both are bound by the prologue.
    for (byte, value) in [(2 + 12, 9u8), (2 + 8, 5)] {
        let (near, mut middle) = duplex(4096);
        let (mut other_side, far) = duplex(4096);
        let relay = tokio::spawn(async move {
            let mut hello = [0; 15];
            middle.read_exact(&mut hello).await.unwrap();
            hello[byte] = value;
            other_side.write_all(&hello).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut middle, &mut other_side).await;
        });
        let terminal_key = keys.terminal.public();
        let center = async {
            let versions = Versions { oldest: 1, newest: 1 };
            let greeted = server::greet(far, versions).await.unwrap();
            greeted.connect(&keys.center, Some(&terminal_key)).await
        };
        let (config, center_key) = (config(), keys.center.public());
        let terminal = client::connect_over(near, &config, &keys.terminal, &center_key);
        let (terminal, center) = tokio::join!(terminal, center);
        assert!(matches!(center.unwrap_err(), ServerFault::Handshake(_)));
        assert!(matches!(terminal.unwrap_err(), ClientFault::Refused(Refusal::Denied)));
        relay.abort();
    }
}

#[tokio::test]
async fn versions_are_negotiated_and_bound() {
    let keys = keys();
    let v = |oldest, newest| Versions { oldest, newest };
    for (terminal, center, agreed) in
        [(v(1, 1), v(1, 2), Some(1)), (v(2, 3), v(1, 2), Some(2)), (v(1, 1), v(2, 3), None)]
    {
        let (near, far) = duplex(4096);
        let mut config = config();
        config.versions = terminal;
        let (center_key, terminal_key) = (keys.center.public(), keys.terminal.public());
        let accept = async {
            let greeted = server::greet(far, center).await?;
            greeted.connect(&keys.center, Some(&terminal_key)).await
        };
        let connect = client::connect_over(near, &config, &keys.terminal, &center_key);
        let (near, far) = tokio::join!(connect, accept);
        match agreed {
            Some(version) => {
                assert_eq!(near.unwrap().channel().version(), version);
                assert_eq!(far.unwrap().channel().version(), version);
            }
            None => {
                assert!(matches!(near.unwrap_err(), ClientFault::Refused(Refusal::Version)));
                assert!(matches!(far.unwrap_err(), ServerFault::Version { oldest: 1, newest: 1 }));
            }
        }
    }
}

#[tokio::test]
async fn enrolment_succeeds_once_and_with_the_right_code_only() {
    let keys = keys();
    let secret = EnrolmentSecret::generate().unwrap();
    let code = EnrolmentCode::new(&keys.center.public(), secret.clone());
    let stranger = EnrolmentCode::new(&StaticKey::generate().unwrap().public(), secret.clone());
    let wrong = EnrolmentCode::new(&keys.center.public(), EnrolmentSecret::generate().unwrap());
    let config = config();
    // The code typed, whether the center still has it, what comes out.
    for (typed, known, outcome) in [
        (&code, true, "enrolled"),
        (&code, false, "denied"),
        (&wrong, true, "denied"),
        (&stranger, true, "other center"),
    ] {
        let (near, far) = duplex(4096);
        let center = async {
            let greeted = server::greet(far, Versions::default()).await?;
            assert_eq!(greeted.hello().mode, Mode::Enrol);
            let enrolling = greeted.enrol(&keys.center, known.then_some(&secret)).await?;
            let key = enrolling.key();
            enrolling.confirm("center").await?;
            Ok::<_, ServerFault>(key)
        };
        let terminal = client::enrol_over(near, &config, &keys.terminal, typed);
        let (terminal, center) = tokio::join!(terminal, center);
        match (outcome, terminal, center) {
            ("enrolled", Ok(seen), Ok(key)) => {
                assert_eq!((seen, key), (keys.center.public(), keys.terminal.public()));
            }
            ("denied", Err(ClientFault::Refused(Refusal::Denied)), Err(fault)) => {
                assert!(matches!(fault, ServerFault::WrongCode));
            }
            ("other center", Err(ClientFault::OtherCenter), Err(ServerFault::Frame(_))) => {}
            (wanted, terminal, center) => panic!("{wanted}: {terminal:?} {center:?}"),
        }
    }
}

#[tokio::test]
async fn a_lost_enrolment_answer_is_found_out_by_connecting() {
    let keys = Arc::new(keys());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config();
    config.address = listener.local_addr().unwrap().to_string();
    let secret = EnrolmentSecret::generate().unwrap();
    let code = EnrolmentCode::new(&keys.center.public(), secret.clone());
    let center = tokio::spawn({
        let keys = Arc::clone(&keys);
        async move {
            let (first, _) = listener.accept().await.unwrap();
            let greeted = server::greet(first, Versions::default()).await.unwrap();
            // The key is taken, but the center dies before it can say so.
            let key = greeted.enrol(&keys.center, Some(&secret)).await.unwrap().key();
            let (second, _) = listener.accept().await.unwrap();
            let greeted = server::greet(second, Versions::default()).await.unwrap();
            let mut wire = greeted.connect(&keys.center, Some(&key)).await.unwrap();
            wire.prove().await.unwrap();
            let end = End::new();
            end.start(wire).end().await
        }
    });
    let seen = client::enrol(&config, &keys.terminal, &code).await.unwrap();
    assert_eq!(seen, keys.center.public());
    assert!(matches!(center.await.unwrap(), SessionEnd::Bye(ByeReason::Stopping)));
}

#[tokio::test]
async fn a_replayed_handshake_gets_no_session() {
    let keys = keys();
    let tamper = Tamper::default();
    let first = handshake(&keys, tamper.clone()).await;
    let recorded = tamper.record.lock().unwrap().clone();
    assert_eq!(recorded.len(), HANDSHAKE_BYTES);
    drop(first);
    // The first message of IK opens again, but nobody can go on: nothing is up, and nothing is delivered.
    let (mut eavesdropper, far) = duplex(4096);
    eavesdropper.write_all(&recorded).await.unwrap();
    eavesdropper.write_all(&[0, 40]).await.unwrap();
    eavesdropper.write_all(&[0xA5; 40]).await.unwrap();
    let greeted = server::greet(far, Versions::default()).await.unwrap();
    let mut wire = greeted.connect(&keys.center, Some(&keys.terminal.public())).await.unwrap();
    assert!(matches!(wire.prove().await, Err(SessionEnd::Channel(_))));
    let mut center = End::new();
    center.postbox.post(&"for the terminal", None).unwrap();
    let end = center.start(wire).end().await;
    assert!(matches!(end, SessionEnd::Channel(_)), "{end}");
    assert!(center.events.try_recv().is_err() && !center.postbox.is_up());
    assert_eq!(center.postbox.waiting(), 1);
}

#[tokio::test]
async fn instructions_expire_at_either_end_and_facts_never() {
    let keys = keys();
    let (mut terminal, mut center) = (End::new(), End::new());
    // The terminal's wall clock is an hour behind: deadlines are the center's.
    terminal.config.clock = {
        let clock = session::system_clock();
        Arc::new(move || clock() - 3_600_000_000)
    };
    let now = (center.config.clock)();
    center.postbox.post(&"over before it was sent", Some(now - 1)).unwrap();
    center.postbox.post(&"in time", Some(now + 60_000_000)).unwrap();
    terminal.postbox.post(&"fact", None).unwrap();
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (a, b) = (terminal.start(near), center.start(far));
    assert!(terminal.up().await.clock_ahead_us > 3_599_000_000);
    center.up().await;
    let (mark, message, late) = terminal.message().await;
    assert_eq!((message.as_str(), late), ("in time", false));
    assert!(matches!(center.event().await, LinkEvent::Unsent { seq: 1 }));
    assert_eq!(center.take().await, "fact");
    // Sent, but not taken in before the session ended: repeated, and handed over as late.
    a.stop.send_replace(Some(ByeReason::Stopping));
    a.end().await;
    b.end().await;
    assert_eq!(mark.unwrap().seq, 2);
    center.config.clock = {
        let clock = session::system_clock();
        Arc::new(move || clock() + 120_000_000)
    };
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (_a, _b) = (terminal.start(near), center.start(far));
    terminal.up().await;
    let (mark, message, late) = terminal.message().await;
    assert_eq!((message.as_str(), late), ("in time", true));
    terminal.postbox.confirm(mark.unwrap()).unwrap();
    timeout(PATIENCE, center.postbox.drained_to(0)).await.unwrap();
}

/// A void behind unconfirmed messages waits for them; one at the front is acknowledged at once.
#[tokio::test]
async fn voids_are_acknowledged_in_their_turn() {
    let keys = keys();
    let (mut terminal, center) = (End::new(), End::new());
    let past = Some((center.config.clock)() - 1);
    for (text, until) in [("a", past), ("b", None), ("c", past)] {
        center.postbox.post(&text, until).unwrap();
    }
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (_a, _b) = (terminal.start(near), center.start(far));
    terminal.up().await;
    let (mark, message, _) = terminal.message().await;
    assert_eq!((message.as_str(), mark.unwrap().seq), ("b", 2));
    timeout(PATIENCE, center.postbox.drained_to(2)).await.unwrap();
    assert_eq!(center.postbox.waiting(), 2);
    terminal.postbox.confirm(mark.unwrap()).unwrap();
    timeout(PATIENCE, center.postbox.drained_to(0)).await.unwrap();
}

#[tokio::test]
async fn what_is_not_confirmed_comes_again_after_a_restart() {
    let keys = keys();
    let terminal = End::new();
    for n in 0..3 {
        terminal.postbox.post(&format!("fact {n}"), None).unwrap();
    }
    let mut center = End::new();
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (a, b) = (terminal.start(near), center.start(far));
    center.up().await;
    let first = center.message().await.0.unwrap();
    center.postbox.confirm(first).unwrap();
    assert_eq!(center.message().await.1, "fact 1");
    timeout(PATIENCE, terminal.postbox.drained_to(2)).await.unwrap();
    // The center dies with one fact in its hands; its durable mark says 1.
    b.stop.send_replace(Some(ByeReason::Stopping));
    b.end().await;
    a.end().await;
    let mut store = MemoryStore::new().unwrap();
    store.set_mark(first).unwrap();
    let mut center = End::on(Box::new(store));
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (_a, _b) = (terminal.start(near), center.start(far));
    center.up().await;
    assert_eq!((center.take().await, center.take().await), ("fact 1".into(), "fact 2".into()));
    timeout(PATIENCE, terminal.postbox.drained_to(0)).await.unwrap();
}

#[tokio::test]
async fn a_center_without_memory_goes_on_and_one_with_an_old_memory_tells_the_gap() {
    let keys = keys();
    let mut store = MemoryStore::new().unwrap();
    for n in 0..5 {
        store.push(format!("\"fact {n}\""), None).unwrap();
    }
    store.acknowledge(3).unwrap();
    let stream = store.stream();
    let terminal = End::on(Box::new(store));
    for (known, gap) in [(0, false), (2, true)] {
        let mut memory = MemoryStore::new().unwrap();
        if known > 0 {
            memory.set_mark(Mark { stream, seq: known }).unwrap();
        }
        let mut center = End::on(Box::new(memory));
        let (near, far) = handshake(&keys, Tamper::default()).await;
        let (a, b) = (terminal.start(near), center.start(far));
        center.up().await;
        if gap {
            let event = center.event().await;
            assert!(matches!(event, LinkEvent::Gap { expected: 3, first: 4, .. }), "{event:?}");
        }
        assert_eq!(center.message().await.1, "fact 3");
        b.stop.send_replace(Some(ByeReason::Stopping));
        b.end().await;
        a.end().await;
    }
}

#[tokio::test]
async fn a_terminal_whose_store_was_put_back_begins_a_new_stream() {
    let keys = keys();
    let mut store = MemoryStore::new().unwrap();
    store.push("\"after the restore\"".into(), None).unwrap();
    let stream = store.stream();
    let terminal = End::on(Box::new(store));
    let mut memory = MemoryStore::new().unwrap();
    memory.set_mark(Mark { stream, seq: 40 }).unwrap();
    let mut center = End::on(Box::new(memory));
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (a, b) = (terminal.start(near), center.start(far));
    assert!(matches!(a.end().await, SessionEnd::Protocol(_)));
    b.end().await;
    while center.events.try_recv().is_ok() {}
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (_a, _b) = (terminal.start(near), center.start(far));
    center.up().await;
    assert_eq!(center.take().await, "after the restore");
    timeout(PATIENCE, terminal.postbox.drained_to(0)).await.unwrap();
}

#[tokio::test]
async fn a_silent_peer_is_given_up_and_a_quiet_one_is_not() {
    let keys = keys();
    let (mut terminal, mut center) = (End::new(), End::new());
    for end in [&mut terminal, &mut center] {
        end.config.ping_after = Duration::from_millis(30);
        end.config.idle_after = Duration::from_millis(600);
    }
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (a, b) = (terminal.start(near), center.start(far));
    terminal.up().await;
    center.up().await;
    // Longer than the limit without a message: signs of life keep both up.
    assert!(timeout(Duration::from_millis(1_300), terminal.events.recv()).await.is_err());
    assert!(!a.task.is_finished() && !b.task.is_finished());
    assert!(terminal.postbox.is_up() && center.postbox.is_up());

    // A half-open wire: the far end neither reads nor closes.
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let mut lonely = End::new();
    lonely.config = terminal.config.clone();
    let began = tokio::time::Instant::now();
    let end = lonely.start(near).end().await;
    assert!(matches!(end, SessionEnd::Silent), "{end}");
    assert!(began.elapsed() >= lonely.config.idle_after);
    drop(far);
}

#[tokio::test]
async fn a_program_that_does_not_take_messages_holds_the_sender_back() {
    let keys = keys();
    let store = MemoryStore::with_limit(2_000).unwrap();
    let terminal = End::on(Box::new(store));
    for n in 0..1_000 {
        terminal.postbox.post(&format!("fact {n}"), None).unwrap();
    }
    let mut center = End::new();
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (_a, _b) = (terminal.start(near), center.start(far));
    center.up().await;
    // Without a confirmation no more than the window comes.
    let mut marks = Vec::new();
    for _ in 0..MAX_IN_FLIGHT {
        marks.push(center.message().await.0.unwrap());
    }
    assert!(timeout(Duration::from_millis(50), center.events.recv()).await.is_err());
    center.postbox.confirm(marks[99]).unwrap();
    for _ in 0..100 {
        marks.push(center.message().await.0.unwrap());
    }
    assert_eq!(marks.last().unwrap().seq, MAX_IN_FLIGHT + 100);
    assert_eq!(terminal.postbox.waiting(), 900);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_not_lost() {
    let keys = keys();
    let terminal = End::new();
    terminal.postbox.post(&"readable", None).unwrap();
    terminal.postbox.post(&17, None).unwrap();
    let mut center = End::new();
    for round in 0..2 {
        let (near, far) = handshake(&keys, Tamper::default()).await;
        let (a, b) = (terminal.start(near), center.start(far));
        center.up().await;
        if round == 0 {
            assert_eq!(center.take().await, "readable");
        }
        let end = b.end().await;
        assert!(matches!(end, SessionEnd::Unreadable { seq: 2, .. }), "{end}");
        a.end().await;
    }
    assert_eq!(terminal.postbox.waiting(), 1);
}

/// A store whose medium fails ends the session with the fault named.
struct Broken(MemoryStore);

impl LinkStore for Broken {
    fn stream(&self) -> guichet_link::envelope::StreamId {
        self.0.stream()
    }
    fn acknowledged(&self) -> u64 {
        self.0.acknowledged()
    }
    fn last(&self) -> u64 {
        self.0.last()
    }
    fn push(&mut self, body: String, not_after: Option<i64>) -> Result<u64, StoreError> {
        self.0.push(body, not_after)
    }
    fn get(&self, _: u64) -> Result<Option<Stored>, StoreError> {
        Err(StoreError::Medium("disk gone".into()))
    }
    fn acknowledge(&mut self, seq: u64) -> Result<(), StoreError> {
        self.0.acknowledge(seq)
    }
    fn marks(&self) -> Vec<Mark> {
        self.0.marks()
    }
    fn set_mark(&mut self, mark: Mark) -> Result<(), StoreError> {
        self.0.set_mark(mark)
    }
    fn renew(&mut self) -> Result<(), StoreError> {
        self.0.renew()
    }
}

#[tokio::test]
async fn a_failing_store_ends_the_session() {
    let keys = keys();
    let terminal = End::on(Box::new(Broken(MemoryStore::new().unwrap())));
    terminal.postbox.post(&"fact", None).unwrap();
    let center = End::new();
    let (near, far) = handshake(&keys, Tamper::default()).await;
    let (a, _b) = (terminal.start(near), center.start(far));
    assert!(matches!(a.end().await, SessionEnd::Store(StoreError::Medium(_))));
}

#[tokio::test]
async fn random_bytes_at_a_listener_end_in_a_typed_fault() {
    let keys = keys();
    let mut seed = 0x2545_F491_4F6C_DD1Du64;
    for length in 0..200usize {
        let mut bytes = vec![0u8; length];
        for byte in &mut bytes {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            *byte = seed as u8;
        }
        // Half of them begin like a real greeting.
        if length % 2 == 0 {
            let hello = [0, 13, b'G', b'L', b'N', b'K', 1, 0, 1, 0, 1, 0, 0, 0, 7];
            let both = hello.len().min(length);
            bytes[..both].copy_from_slice(&hello[..both]);
        }
        let (mut near, far) = duplex(4096);
        near.write_all(&bytes).await.unwrap();
        drop(near);
        let outcome = async {
            let greeted = server::greet(far, Versions::default()).await?;
            greeted.connect(&keys.center, Some(&keys.terminal.public())).await
        };
        assert!(outcome.await.is_err(), "length {length}");
    }
}
