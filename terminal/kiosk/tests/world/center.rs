//! A small scripted center: the real link, and just enough wit for one purchase at a time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use guichet_link::card::open_card;
use guichet_link::code::{EnrolmentCode, EnrolmentSecret};
use guichet_link::envelope::ByeReason;
use guichet_link::hello::{Mode, Versions};
use guichet_link::keys::{PublicKey, StaticKey};
use guichet_link::message::{
    Amount, Booking, BookingLine, CenterToTerminal as C, Ending, PrintResult, Receipt,
    TerminalToCenter as T, Ticket,
};
use guichet_link::postbox::Postbox;
use guichet_link::server;
use guichet_link::session::{self, LinkEvent, SessionConfig};
use guichet_link::store::MemoryStore;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::TERMINAL;

pub const ORDER: &str = "o-001-0000000000000001";
const FAR: i64 = 4_000_000_000_000_000;

/// What the center knows and does.
#[derive(Default)]
pub struct Book {
    /// The terminal's key, once enrolled.
    key: Option<PublicKey>,
    /// Every message of the terminal, in order.
    pub heard: Vec<T>,
    /// Tickets of the order.
    pub lines: u8,
    /// Bookings that a question finds.
    pub finds: Vec<Booking>,
    /// PINs that are wrong before one is right.
    pub wrong_pins: u8,
    /// Prints told, and their last word.
    pub prints: Vec<(u8, u16, Option<PrintResult>)>,
    /// Track 2 as the swipe's box held it.
    pub track2: Option<String>,
    session: u64,
    paid: bool,
    done: bool,
}

/// The center.
#[derive(Clone)]
pub struct Center {
    pub addr: SocketAddr,
    pub book: Arc<Mutex<Book>>,
    pub postbox: Postbox,
    key: StaticKey,
    secret: EnrolmentSecret,
    stop: Arc<watch::Sender<Option<ByeReason>>>,
}

impl Center {
    /// Listens on a free port, for an order of so many tickets.
    pub async fn start(lines: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let center = Self {
            addr,
            book: Arc::new(Mutex::new(Book { lines, ..Book::default() })),
            postbox: Postbox::new(Box::new(MemoryStore::new().unwrap())),
            key: StaticKey::generate().unwrap(),
            secret: EnrolmentSecret::generate().unwrap(),
            stop: Arc::new(watch::channel(None).0),
        };
        tokio::spawn(center.clone().listen(listener));
        center
    }

    pub fn code(&self) -> String {
        EnrolmentCode::new(&self.key.public(), self.secret.clone()).to_printable().to_string()
    }

    /// Ends the running sessions; new ones are taken again after `open`.
    pub fn cut(&self) {
        self.stop.send_replace(Some(ByeReason::Stopping));
    }

    pub fn open(&self) {
        self.stop.send_replace(None);
    }

    pub fn post(&self, message: &C) {
        self.postbox.post(message, None).unwrap();
    }

    /// Sends a booking to the terminal ahead, under the tag of the card.
    pub fn push(&self) {
        let booking = booking(self.book.lock().unwrap().lines);
        self.post(&C::Push { tag: super::tag(), booking });
    }

    pub fn heard(&self, wanted: impl Fn(&T) -> bool) -> usize {
        self.book.lock().unwrap().heard.iter().filter(|m| wanted(m)).count()
    }

    async fn listen(self, listener: TcpListener) {
        let (events, mut heard) = mpsc::channel(64);
        let center = self.clone();
        tokio::spawn(async move {
            while let Some(event) = heard.recv().await {
                center.take(event);
            }
        });
        while let Ok((stream, _)) = listener.accept().await {
            let (center, events) = (self.clone(), events.clone());
            tokio::spawn(async move { center.serve(stream, events).await });
        }
    }

    async fn serve(self, stream: TcpStream, events: mpsc::Sender<LinkEvent<T>>) {
        let Ok(greeted) = server::greet(stream, Versions::default()).await else { return };
        if greeted.hello().mode == Mode::Enrol {
            let Ok(enrolling) = greeted.enrol(&self.key, Some(&self.secret)).await else { return };
            self.book.lock().unwrap().key = Some(enrolling.key());
            enrolling.confirm("scripted center").await.unwrap();
            return;
        }
        let known = self.book.lock().unwrap().key;
        let mut stop = self.stop.subscribe();
        if stop.borrow().is_some() {
            return;
        }
        let Ok(wire) = greeted.connect(&self.key, known.as_ref()).await else { return };
        let config = SessionConfig::default();
        session::run(wire, &self.postbox, &config, &events, &mut stop).await;
    }

    fn take(&self, event: LinkEvent<T>) {
        match event {
            LinkEvent::Up(_) => self.post(&welcome(&self.key)),
            LinkEvent::Message(inbound) => {
                self.answer(inbound.message);
                if let Some(mark) = inbound.mark {
                    self.postbox.confirm(mark).unwrap();
                }
            }
            _ => {}
        }
    }

    fn answer(&self, message: T) {
        let mut book = self.book.lock().unwrap();
        book.heard.push(message.clone());
        let out = match message {
            T::FindBookings { session, swipe } => {
                book.track2 = Some(self.opened(session, swipe.expose()));
                vec![C::Bookings { session, bookings: book.finds.clone() }]
            }
            T::StartPayment { session, order, swipe } => {
                book.track2 = Some(self.opened(session, swipe.expose()));
                book.session = session;
                let begun = C::Authorizing { session, order, payment: 0 };
                vec![begun, book.ask_pin(1)]
            }
            T::EnterPin { session, order, pin_try, .. } => {
                if pin_try <= book.wrong_pins {
                    vec![book.ask_pin(pin_try + 1)]
                } else {
                    book.paid = true;
                    vec![C::Completing { session, order, payment: 0 }, book.issue(0)]
                }
            }
            T::Abandon { session, order, .. } if session == book.session && !book.paid => {
                vec![C::Ended { session, order, payment: 0, ending: Ending::Cancelled }]
            }
            T::PrintReport { line, print, result, .. } => book.reported(line, print, result),
            T::Abandon { .. }
            | T::Resume { .. }
            | T::TakenReport { .. }
            | T::ReceiptReport { .. }
            | T::DeviceReport { .. } => vec![],
        };
        drop(book);
        out.iter().for_each(|message| self.post(message));
    }

    fn opened(&self, session: u64, swipe: &str) -> String {
        let bytes: Vec<u8> = (0..swipe.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&swipe[at..at + 2], 16).unwrap())
            .collect();
        let aad = [&TERMINAL.to_be_bytes()[..], &session.to_be_bytes()[..]].concat();
        let track = open_card(self.key.expose(), &aad, &bytes).unwrap();
        String::from_utf8(track.to_vec()).unwrap()
    }
}

impl Book {
    fn ask_pin(&self, pin_try: u8) -> C {
        C::AskPin {
            session: self.session,
            order: ORDER.into(),
            payment: 0,
            pin_try,
            tries_left: 4 - pin_try,
            amount: amount(5_500 * i64::from(self.lines)),
            until: now() + 60_000_000,
        }
    }

    pub fn issue(&mut self, n: u8) -> C {
        self.prints.push((n, 1, None));
        let ticket = Box::new(ticket(n, self.lines));
        let (session, deadline) = (self.session, now() + 30_000_000);
        C::Issue { session, order: ORDER.into(), print: 1, deadline, ticket }
    }

    /// The next ticket after a report, or receipt and goodbye after the last.
    fn reported(&mut self, line: u8, print: u16, result: PrintResult) -> Vec<C> {
        let Some(entry) = self.prints.iter_mut().find(|p| (p.0, p.1) == (line, print)) else {
            return vec![];
        };
        let is_first = entry.2.is_none();
        entry.2 = Some(result.clone());
        let (session, order) = (self.session, ORDER.to_owned());
        let mut out = vec![];
        match &result {
            PrintResult::Unproven => {
                let ticket = number(line);
                return vec![C::QueryPrint { order, line, print, ticket }];
            }
            PrintResult::NotPrinted { .. } if is_first => {
                let (order, amount) = (order.clone(), amount(5_500));
                out.push(C::LineRefunded { session, order, line, amount });
            }
            PrintResult::NotPrinted { .. } | PrintResult::Printed { .. } => {}
        }
        if line + 1 < self.lines && is_first {
            out.push(self.issue(line + 1));
        } else if line + 1 == self.lines && !self.done {
            self.done = true;
            let receipt = Box::new(receipt(self.lines));
            out.push(C::PrintReceipt { session, order: order.clone(), payment: 0, receipt });
            out.push(C::Done { session, order, payment: 0 });
        }
        out
    }

    /// Whether the purchase came to its end.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether every print that was told has a word that says what happened.
    pub fn is_settled(&self) -> bool {
        self.prints
            .iter()
            .all(|(_, _, result)| result.as_ref().is_some_and(|r| *r != PrintResult::Unproven))
    }
}

pub fn now() -> i64 {
    (guichet_link::session::system_clock())()
}

pub fn amount(minor: i64) -> Amount {
    Amount { minor, currency: "CNY".into(), decimals: 2 }
}

fn number(n: u8) -> String {
    format!("{:016}", 10 + u32::from(n))
}

fn line(n: u8) -> BookingLine {
    BookingLine {
        line: n,
        service: "G101".into(),
        from: "北京南".into(),
        to: "上海虹桥".into(),
        departs: FAR,
        arrives: FAR + 16_000_000_000,
        zone: "Asia/Shanghai".into(),
        kind: guichet_link::message::ServiceKind::Train,
        class: 2,
        coach: "05".into(),
        seat: format!("{}A", 1 + n),
        name_masked: "李*".into(),
        amount: amount(5_500),
    }
}

pub fn booking(lines: u8) -> Booking {
    Booking {
        order: ORDER.into(),
        reference: "ABCDE12345".into(),
        lines: (0..lines).map(line).collect(),
        amount: amount(5_500 * i64::from(lines)),
        until: FAR,
    }
}

fn ticket(n: u8, of: u8) -> Ticket {
    Ticket {
        number: number(n),
        reference: "ABCDE12345".into(),
        line: line(n),
        name: "李娜".into(),
        document_masked: "E1*****78".into(),
        operator: "Guichet".into(),
        provider: "Rail".into(),
        code: "a1b2c3d4".repeat(20).into(),
        position: (n + 1, of),
    }
}

fn receipt(lines: u8) -> Receipt {
    Receipt {
        number: "R1".into(),
        operator: "Guichet".into(),
        terminal: "T0000007".into(),
        place: "北京南".into(),
        at: now(),
        zone: "Asia/Shanghai".into(),
        reference: "ABCDE12345".into(),
        lines: vec![("G101 北京南 - 上海虹桥".into(), amount(5_500))],
        charged: amount(5_500 * i64::from(lines)),
        refunded: None,
        card_masked: "621094******0011".into(),
        auth_code: "A1B2C3".into(),
        rrn: "000000000001".into(),
        stan: "000001".into(),
        business_date: "2026-11-23".into(),
    }
}

fn welcome(key: &StaticKey) -> C {
    C::Welcome {
        terminal: TERMINAL,
        operator: "Guichet".into(),
        place: "BJP".into(),
        place_name: "北京南".into(),
        zone: "Asia/Shanghai".into(),
        card_key: key.public().0.iter().map(|byte| format!("{byte:02x}")).collect(),
        now: now(),
        pin_length_min: 4,
        pin_length_max: 6,
        tag_epoch: 1,
    }
}
