//! The bank against an acquirer that writes its messages by the same dialect, without a network.

use guichet_iso8583::{Dialect, KeyPart, Message, Values};
use jiff::tz::TimeZone;

use super::TEST_ZONE_MASTER_KEY;
use super::books::State;
use super::clearing;
use super::crypto::{ZoneKey, mac, make_pin_block};
use super::data::BankData;
use super::host::Host;
use super::state::Stored;

const GOOD: &str = "6200000000000005";

/// An acquirer with working keys.
struct Acquirer {
    host: Host,
    dialect: Dialect,
    pin: Option<ZoneKey>,
    mac: Option<ZoneKey>,
    stan: u32,
}

fn unwrap_key(master: &ZoneKey, wrapped: &[u8]) -> ZoneKey {
    let clear: Vec<u8> = wrapped
        .chunks_exact(8)
        .flat_map(|chunk| master.decrypt(chunk.try_into().expect("block")))
        .collect();
    ZoneKey::new(&clear).expect("key")
}

impl Acquirer {
    fn new(dialect: &str) -> Acquirer {
        let dialect = Dialect::named(dialect).expect("dialect");
        let master = hex::decode(TEST_ZONE_MASTER_KEY).expect("hex");
        let host = Host::new(
            dialect.clone(),
            BankData::load(None).expect("data"),
            ZoneKey::new(&master).expect("key"),
            TimeZone::get("Asia/Shanghai").expect("zone"),
        );
        Acquirer { host, dialect, pin: None, mac: None, stan: 0 }
    }

    fn signed_on(dialect: &str) -> Acquirer {
        let mut acquirer = Acquirer::new(dialect);
        let answer = acquirer.send("sign_on", &mut values()).expect("answer");
        assert_eq!(answer.text(39), Some("00"));
        let master = ZoneKey::new(&hex::decode(TEST_ZONE_MASTER_KEY).expect("hex")).expect("key");
        let keys = acquirer.dialect.zone_keys(&answer).expect("keys");
        let (pin, code) = (&keys[&KeyPart::Pin], &keys[&KeyPart::Mac]);
        let (pin, code) = (unwrap_key(&master, pin), unwrap_key(&master, code));
        let check = &keys[&KeyPart::PinCheck];
        assert_eq!(check.as_slice(), pin.check_value(check.len()));
        acquirer.pin = Some(pin);
        acquirer.mac = Some(code);
        acquirer
    }

    fn send(&mut self, kind: &str, values: &mut Values) -> Option<Message> {
        self.stan += 1;
        let stan = format!("{:06}", self.stan);
        values.set("stan", &stan);
        let message = self.dialect.compose(kind, values).expect("compose");
        self.deliver(&message)
    }

    fn deliver(&self, message: &Message) -> Option<Message> {
        let spec = self.dialect.mac().expect("mac");
        let body = match (&self.mac, spec.applies_to(message.mti.class())) {
            (Some(key), true) => {
                let unsigned = self.dialect.pack_unsigned(message).expect("pack");
                let code = mac(key, spec.algorithm, unsigned.covered());
                unsigned.seal(&code)
            }
            _ => self.dialect.pack(message).expect("pack"),
        };
        let answers = self.host.respond(&body);
        let answer = answers.first()?;
        let decoded = self.dialect.unpack(&answer.body).expect("answer decodes");
        if let (Some(key), true) = (&self.mac, spec.applies_to(message.mti.class())) {
            let (covered, code) = self.dialect.mac_of(&answer.body, &decoded).expect("mac");
            assert_eq!(code, mac(key, spec.algorithm, covered));
        }
        Some(decoded)
    }

    fn hold(&mut self, pan: &str, amount: i64) -> (String, Message) {
        let answer = self.send("hold", values().card(pan).amount(amount)).expect("answer");
        (format!("{:06}", self.stan), answer)
    }

    fn complete(&mut self, pan: &str, amount: i64, pin: &str, hold: &(String, Message)) -> Message {
        let block = make_pin_block(self.pin.as_ref().expect("keys"), pin, pan).expect("block");
        let auth = hold.1.text(38).unwrap_or("NONE00").to_string();
        let mut values = values();
        values.card(pan).amount(amount).original("0100", &hold.0).set("auth_code", &auth);
        values.set_bytes("pin_block", &block);
        self.send("complete", &mut values).expect("answer")
    }

    fn reverse(&mut self, kind: &str, mti: &str, stan: &str, amount: i64) -> Message {
        let mut values = values();
        values.amount(amount).original(mti, stan).set("reason", "96");
        self.send(kind, &mut values).expect("answer")
    }

    fn account(&self, id: &str) -> (i64, i64) {
        self.host.with_books(|books| {
            assert_eq!(books.check(), Vec::<String>::new());
            let account = &books.accounts()[id];
            (account.balance, account.held)
        })
    }
}

trait Fill {
    fn card(&mut self, pan: &str) -> &mut Self;
    fn amount(&mut self, amount: i64) -> &mut Self;
    fn original(&mut self, mti: &str, stan: &str) -> &mut Self;
}

impl Fill for Values {
    fn card(&mut self, pan: &str) -> &mut Self {
        let data = BankData::load(None).expect("data");
        let track = data.cards.iter().find(|card| card.pan == pan).map(|card| card.track2());
        self.set("pan", pan);
        if let Some(track) = track {
            self.set("track2", &track);
        }
        self
    }

    fn amount(&mut self, amount: i64) -> &mut Self {
        self.set("amount", &amount.to_string())
    }

    fn original(&mut self, mti: &str, stan: &str) -> &mut Self {
        self.set("original.mti", mti)
            .set("original.stan", stan)
            .set("original.transmission", "0315023005")
            .set("original.local_date", "0315")
    }
}

fn values() -> Values {
    let mut values = Values::new();
    values
        .set("rrn", "031510000101")
        .set("transmission", "0315023005")
        .set("local_time", "103005")
        .set("local_date", "0315")
        .set("merchant_type", "4112")
        .set("acquirer", "00010000")
        .set("terminal", "T0000001")
        .set("merchant", "898110041120001")
        .set("merchant_name", "EXAMPLE RAIL TICKETS")
        .set("currency", "156")
        .set("entry_mode", "021")
        .set("batch", "000024")
        .set("operator", "01");
    values
}

fn both(run: impl Fn(Acquirer)) {
    for dialect in ["ascii", "bcd"] {
        run(Acquirer::signed_on(dialect));
    }
}

fn code(message: &Message) -> &str {
    message.text(39).unwrap_or("")
}

#[test]
fn a_hold_is_completed_with_the_pin_and_money_moves_once() {
    both(|mut acquirer| {
        let hold = acquirer.hold(GOOD, 12_300);
        assert_eq!(code(&hold.1), "00");
        assert_eq!(acquirer.account("A-1"), (5_000_000, 12_300));
        let done = acquirer.complete(GOOD, 12_300, "1234", &hold);
        assert_eq!(code(&done), "00");
        assert_eq!(done.text(38), hold.1.text(38));
        assert_eq!(acquirer.account("A-1"), (4_987_700, 0));
        let again = acquirer.complete(GOOD, 12_300, "1234", &hold);
        assert_eq!(code(&again), "12", "the hold is used up");
        assert_eq!(acquirer.account("A-1"), (4_987_700, 0));
    });
}

#[test]
fn cards_are_refused_as_their_descriptions_say() {
    both(|mut acquirer| {
        for (pan, amount, expected) in [
            ("4242424242424242", 200, "51"),
            ("4000056655665556", 100, "54"),
            ("5555555555554444", 100, "62"),
            ("378282246310005", 100, "31"),
            ("3566002020360505", 10_001, "61"),
            ("3566002020360505", 10_000, "00"),
            ("4111111111111111", 100, "14"),
            (GOOD, 0, "13"),
        ] {
            assert_eq!(code(&acquirer.hold(pan, amount).1), expected, "{pan} {amount}");
        }
        let hold = acquirer.hold("6011111111111117", 100);
        let refused = acquirer.complete("6011111111111117", 100, "5555", &hold);
        assert_eq!(code(&refused), "51");
    });
}

#[test]
fn three_wrong_pins_shut_the_card_until_forgiven() {
    both(|mut acquirer| {
        let hold = acquirer.hold(GOOD, 500);
        for expected in ["55", "55", "75"] {
            assert_eq!(code(&acquirer.complete(GOOD, 500, "9999", &hold)), expected);
        }
        assert_eq!(code(&acquirer.complete(GOOD, 500, "1234", &hold)), "75");
        assert_eq!(code(&acquirer.hold(GOOD, 500).1), "75");
        let reversed = acquirer.reverse("reverse_hold", "0100", &hold.0, 500);
        assert_eq!(code(&reversed), "00");
        assert_eq!(acquirer.account("A-1"), (5_000_000, 0));
        assert!(acquirer.host.forgive(GOOD));
        assert_eq!(code(&acquirer.hold(GOOD, 500).1), "00");
    });
}

#[test]
fn a_right_pin_forgets_the_wrong_ones() {
    let mut acquirer = Acquirer::signed_on("ascii");
    for _ in 0..3 {
        let hold = acquirer.hold(GOOD, 500);
        for _ in 0..2 {
            assert_eq!(code(&acquirer.complete(GOOD, 500, "9999", &hold)), "55");
        }
        assert_eq!(code(&acquirer.complete(GOOD, 500, "1234", &hold)), "00");
    }
}

#[test]
fn a_completion_is_reversed_before_its_hold() {
    both(|mut acquirer| {
        let hold = acquirer.hold(GOOD, 700);
        assert_eq!(code(&acquirer.complete(GOOD, 700, "1234", &hold)), "00");
        let completion = format!("{:06}", acquirer.stan);
        let wrong = acquirer.reverse("reverse_hold", "0100", &hold.0, 700);
        assert_eq!(code(&wrong), "12", "its completion stands");
        let undone = acquirer.reverse("reverse_complete", "0200", &completion, 700);
        assert_eq!(code(&undone), "00");
        assert_eq!(acquirer.account("A-1"), (5_000_000, 700));
        assert_eq!(code(&acquirer.reverse("reverse_hold", "0100", &hold.0, 700)), "00");
        assert_eq!(acquirer.account("A-1"), (5_000_000, 0));
        assert_eq!(code(&acquirer.reverse("reverse_hold", "0100", &hold.0, 700)), "00");
        assert_eq!(acquirer.account("A-1"), (5_000_000, 0));
    });
}

#[test]
fn a_reversal_that_comes_first_shuts_out_its_original() {
    both(|mut acquirer| {
        let late = format!("{:06}", acquirer.stan + 2);
        let early = acquirer.reverse("reverse_hold", "0100", &late, 700);
        assert_eq!(code(&early), "25");
        assert_eq!(code(&acquirer.hold(GOOD, 700).1), "12");
        assert_eq!(acquirer.account("A-1"), (5_000_000, 0));
    });
}

#[test]
fn a_repeat_gets_the_stored_answer_and_a_changed_one_is_refused() {
    both(|mut acquirer| {
        let mut values = values();
        values.card(GOOD).amount(900).set("stan", "000777");
        let message = acquirer.dialect.compose("hold", &values).expect("compose");
        let first = acquirer.deliver(&message).expect("answer");
        let second = acquirer.deliver(&message).expect("answer");
        assert_eq!(first, second);
        assert_eq!(acquirer.account("A-1").1, 900);
        let changed = message.clone().with(4, "000000009900");
        assert_eq!(code(&acquirer.deliver(&changed).expect("answer")), "94");
        let mut reversal = self::values();
        reversal.amount(900).original("0100", "000777").set("reason", "96").set("stan", "000778");
        let spec = acquirer.dialect.transaction("reverse_hold").expect("kind").clone();
        let mut advice = acquirer.dialect.compose("reverse_hold", &reversal).expect("compose");
        let answer = acquirer.deliver(&advice).expect("answer");
        advice.mti = spec.repeat_mti;
        assert_eq!(acquirer.deliver(&advice).expect("answer"), answer);
        assert_eq!(acquirer.account("A-1"), (5_000_000, 0));
        let booked = acquirer.host.with_books(|books| books.transactions().len());
        assert_eq!(booked, 2, "repeats are not booked again");
        acquirer.stan = 1000;
    });
}

#[test]
fn refunds_go_back_up_to_what_was_paid() {
    both(|mut acquirer| {
        let hold = acquirer.hold(GOOD, 1000);
        assert_eq!(code(&acquirer.complete(GOOD, 1000, "1234", &hold)), "00");
        let paid = format!("{:06}", acquirer.stan);
        let mut refund = |amount: i64, stan: &str| {
            let mut values = values();
            values.amount(amount).original("0200", stan).set("auth_code", "A00001");
            acquirer.send("refund", &mut values).expect("answer").text(39).map(str::to_string)
        };
        assert_eq!(refund(400, &paid).as_deref(), Some("00"));
        assert_eq!(refund(601, &paid).as_deref(), Some("64"));
        assert_eq!(refund(600, &paid).as_deref(), Some("00"));
        assert_eq!(refund(1, &paid).as_deref(), Some("64"));
        assert_eq!(refund(1, "999999").as_deref(), Some("25"));
        assert_eq!(acquirer.account("A-1"), (5_000_000, 0));
    });
}

#[test]
fn a_refund_repeated_after_a_restart_of_the_bank_gives_nothing_twice() {
    let mut acquirer = Acquirer::signed_on("ascii");
    let hold = acquirer.hold(GOOD, 1000);
    assert_eq!(code(&acquirer.complete(GOOD, 1000, "1234", &hold)), "00");
    let paid = format!("{:06}", acquirer.stan);
    let refund = |acquirer: &mut Acquirer, amount: i64, number: u32| {
        acquirer.stan = number - 1;
        let mut values = values();
        values.amount(amount).original("0200", &paid).set("auth_code", "A00001");
        acquirer.send("refund", &mut values).expect("answer")
    };
    let first = refund(&mut acquirer, 400, 50);
    assert_eq!(code(&first), "00");
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("bank.json");
    acquirer.host.stored().1.write(&path).expect("written");
    let mut again = Acquirer::signed_on("ascii");
    again.host.restore(Stored::read(&path).expect("read").expect("stored"));
    let repeated = refund(&mut again, 400, 50);
    assert_eq!((code(&repeated), repeated.text(38)), ("00", first.text(38)));
    assert_eq!(again.account("A-1"), (5_000_000 - 600, 0), "once");
    assert_eq!(code(&refund(&mut again, 400, 51)), "00", "another refund is another");
    assert_eq!(again.account("A-1"), (5_000_000 - 200, 0));
}

#[test]
fn a_message_without_a_good_mac_is_refused() {
    both(|mut acquirer| {
        acquirer.mac = None;
        let mut values = values();
        let answer = acquirer.send("hold", values.card(GOOD).amount(100)).expect("answer");
        assert_eq!(code(&answer), "A0");
        acquirer.mac = Some(ZoneKey::random(16).expect("key"));
        let message = acquirer.dialect.compose("hold", &values).expect("compose");
        let spec = acquirer.dialect.mac().expect("mac");
        let unsigned = acquirer.dialect.pack_unsigned(&message).expect("pack");
        let body = unsigned.seal(&mac(
            acquirer.mac.as_ref().expect("key"),
            spec.algorithm,
            b"something else",
        ));
        let answers = acquirer.host.respond(&body);
        let answer = acquirer.dialect.unpack(&answers[0].body).expect("decodes");
        assert_eq!(code(&answer), "A0");
        assert_eq!(acquirer.host.counts().bad_mac, 2);
        assert!(acquirer.host.with_books(|books| books.transactions().is_empty()));
    });
}

#[test]
fn one_step_payments_move_money_and_are_reversed() {
    both(|mut acquirer| {
        let block = make_pin_block(acquirer.pin.as_ref().expect("key"), "1234", GOOD);
        let mut values = values();
        values.card(GOOD).amount(300).set_bytes("pin_block", &block.expect("block"));
        let answer = acquirer.send("pay", &mut values).expect("answer");
        assert_eq!(code(&answer), "00");
        assert_eq!(acquirer.account("A-1"), (4_999_700, 0));
        let stan = format!("{:06}", acquirer.stan);
        assert_eq!(code(&acquirer.reverse("reverse_pay", "0200", &stan, 300)), "00");
        assert_eq!(acquirer.account("A-1"), (5_000_000, 0));
    });
}

#[test]
fn the_clearing_file_holds_what_moved_on_its_date() {
    both(|mut acquirer| {
        let today = acquirer.host.today().to_string();
        let mut paid = Vec::new();
        for amount in [1000, 2000, 3000] {
            let hold = acquirer.hold(GOOD, amount);
            assert_eq!(code(&acquirer.complete(GOOD, amount, "1234", &hold)), "00");
            paid.push(format!("{:06}", acquirer.stan));
        }
        assert_eq!(code(&acquirer.reverse("reverse_complete", "0200", &paid[0], 1000)), "00");
        let (closed, opens) = acquirer.host.cutover();
        assert_eq!(closed.to_string(), today);
        assert_eq!(acquirer.host.today(), opens);
        assert_eq!(code(&acquirer.reverse("reverse_complete", "0200", &paid[1], 2000)), "00");
        let lines = |date: &str| {
            let text = acquirer
                .host
                .with_books(|books| clearing::file(books.transactions(), "00010000", date))
                .expect("file");
            let rows: Vec<Vec<String>> = csv::Reader::from_reader(text.as_bytes())
                .records()
                .map(|row| row.expect("row").iter().map(str::to_string).collect())
                .collect();
            rows.iter()
                .map(|row| format!("{} {} {} {}", row[0], row[5], row[10], row[12]))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lines(&today),
            [
                format!("line {} 2000 D", paid[1]),
                format!("line {} 3000 D", paid[2]),
                "trailer 2 5000 D".to_string()
            ]
        );
        let reversal = format!("{:06}", acquirer.stan);
        assert_eq!(
            lines(&opens.to_string()),
            [format!("line {reversal} 2000 C"), "trailer 1 2000 C".to_string()]
        );
        assert_eq!(lines("2001-01-01"), ["trailer 0 0 "]);
    });
}

#[test]
fn the_books_outlive_the_process() {
    let mut acquirer = Acquirer::signed_on("ascii");
    let hold = acquirer.hold(GOOD, 700);
    let paid = acquirer.hold(GOOD, 900);
    assert_eq!(code(&acquirer.complete(GOOD, 900, "1234", &paid)), "00");
    let completion = format!("{:06}", acquirer.stan);
    assert_eq!(code(&acquirer.complete(GOOD, 700, "9999", &hold)), "55");
    let (_, opens) = acquirer.host.cutover();
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("bank.json");
    assert!(Stored::read(&path).expect("no file yet").is_none());
    acquirer.host.stored().1.write(&path).expect("written");
    let text = std::fs::read_to_string(&path).expect("text");
    assert!(!text.contains(GOOD), "no card number is kept");

    let mut again = Acquirer::signed_on("ascii");
    again.host.restore(Stored::read(&path).expect("read").expect("stored"));
    again.stan = 100;
    assert_eq!(again.host.today(), opens);
    let tries = again.host.with_books(|books| books.card_state(GOOD).map(|state| state.1));
    assert_eq!(tries, Some(1));
    assert_eq!(again.account("A-1"), (5_000_000 - 900, 700));
    assert_eq!(code(&again.reverse("reverse_hold", "0100", &hold.0, 700)), "00");
    assert_eq!(code(&again.reverse("reverse_complete", "0200", &completion, 900)), "00");
    assert_eq!(again.account("A-1"), (5_000_000, 900));

    for damage in ["{", "", r#"{"version":2,"opened":null,"books":{}}"#] {
        std::fs::write(&path, damage).expect("written");
        assert!(Stored::read(&path).is_err(), "{damage}");
    }
}

#[test]
fn the_wire_is_kept_and_books_hold_no_card_number() {
    let mut acquirer = Acquirer::signed_on("ascii");
    let hold = acquirer.hold(GOOD, 100);
    assert_eq!(hold.1.text(15).map(str::len), Some(4));
    let frames = acquirer.host.with_wire(|wire| wire.frames().count());
    assert_eq!(frames, 4);
    let books = acquirer.host.with_books(|books| {
        assert_eq!(books.transactions()[0].state, State::Held);
        serde_json::to_string(books.transactions()).expect("json")
    });
    assert!(!books.contains(GOOD) && books.contains("620000******0005"));
    for garbage in [&b""[..], b"0200", b"xxxxxxxxxxxxxxxxxxxxxxx", &[0xFF; 300]] {
        assert!(acquirer.host.respond(garbage).is_empty());
    }
    assert_eq!(acquirer.host.counts().garbled, 4);
}
