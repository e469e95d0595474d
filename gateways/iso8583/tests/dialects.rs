//! The shipped dialects say the same things in different bytes.

use guichet_iso8583::{
    Action, AdviceVerdict, ComposeError, Dialect, DialectError, Entry, KeyPart, MacAlgorithm,
    Message, Mti, PaymentFlow, Values, Verdict, What,
};

fn both() -> [Dialect; 2] {
    ["ascii", "bcd"].map(|name| Dialect::named(name).expect("shipped"))
}

fn values() -> Values {
    let mut values = Values::new();
    values
        .set("pan", "6200000000000005")
        .set("expiry", "3012")
        .set("track2", "6200000000000005=30122010000000000")
        .set("amount", "12300")
        .set("stan", "000101")
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
        .set("entry_mode", "022")
        .set("batch", "000024")
        .set("operator", "01")
        .set("business_date", "0315");
    values
}

#[test]
fn every_transaction_is_written_read_back_and_recognised() {
    for dialect in both() {
        let mut values = values();
        values
            .set("auth_code", "A1B2C3")
            .set_bytes("pin_block", &[0x2A; 8])
            .set("reason", dialect.reason("timeout").expect("reason"))
            .set("original.mti", "0100")
            .set("original.stan", "000100")
            .set("original.transmission", "0315023001")
            .set("original.local_date", "0315");
        let kinds: Vec<String> = dialect.transactions().map(str::to_string).collect();
        for wanted in [
            "hold",
            "complete",
            "pay",
            "reverse_hold",
            "reverse_complete",
            "reverse_pay",
            "refund",
            "sign_on",
            "sign_off",
            "echo",
            "cutover",
        ] {
            assert!(kinds.iter().any(|kind| kind == wanted), "{} {wanted}", dialect.name());
        }
        for kind in kinds {
            let message = dialect.compose(&kind, &values).expect(&kind);
            let body = dialect.pack(&message).expect(&kind);
            let back = dialect.unpack(&body).expect(&kind);
            assert_eq!(back, message, "{} {kind}", dialect.name());
            assert_eq!(dialect.classify(&back), Some(kind.as_str()), "{}", dialect.name());
            if kind.starts_with("reverse") || kind == "complete" || kind == "refund" {
                let original = dialect.original_of(&back).expect("original data");
                assert_eq!(original.get("stan").map(String::as_str), Some("000100"));
            }
            if kind.starts_with("reverse") || kind == "refund" {
                for de in [14, 35, 36, 45, 52, 55] {
                    assert!(!back.has(de), "{} {kind} carries DE {de}", dialect.name());
                }
            }
        }
    }
}

#[test]
fn original_data_of_the_standard_is_forty_two_digits() {
    let dialect = Dialect::named("ascii").expect("ascii");
    let mut values = values();
    values
        .set("reason", "68")
        .set("original.mti", "0200")
        .set("original.stan", "000101")
        .set("original.transmission", "0315023005");
    let message = dialect.compose("reverse_pay", &values).expect("compose");
    assert_eq!(message.text(90), Some("020000010103150230050000001000000000000000"));
}

#[test]
fn a_missing_value_is_named() {
    for dialect in both() {
        let error = dialect.compose("complete", &values()).expect_err("no auth code");
        assert_eq!(error, ComposeError::MissingValue { de: 38, name: "auth_code".to_string() });
        let error = dialect.compose("nothing", &values()).expect_err("unknown");
        assert_eq!(error, ComposeError::NoTransaction("nothing".to_string()));
        let mut long = values();
        long.set("amount", "1234567890123");
        let error = dialect.compose("hold", &long).expect_err("too long");
        assert_eq!(error, ComposeError::DoesNotFit { de: 4, name: "amount".to_string() });
    }
}

#[test]
fn pin_elements_appear_only_with_a_pin_block() {
    for dialect in both() {
        let message = dialect.compose("pay", &values()).expect("compose");
        assert!([26, 52, 53].iter().all(|de| !message.has(*de)));
        let mut with_pin = values();
        with_pin.set_bytes("pin_block", &[1; 8]);
        let message = dialect.compose("pay", &with_pin).expect("compose");
        assert_eq!(message.bytes(52), Some(&[1u8; 8][..]));
        assert_eq!(message.text(53), Some("2600000000000000"));
    }
}

#[test]
fn the_mac_is_the_last_element_and_covers_all_before_it() {
    for dialect in both() {
        let mac = dialect.mac().expect("mac");
        assert!(mac.applies_to(2) && !mac.applies_to(8));
        let mut values = values();
        values.set("reason", "98").set("original.stan", "000100").set("original.mti", "0100");
        for kind in ["hold", "reverse_hold"] {
            let message = dialect.compose(kind, &values).expect("compose");
            let unsigned = dialect.pack_unsigned(&message).expect("unsigned");
            let covered = unsigned.covered().to_vec();
            let code = *b"\x01\x02\x03\x04ABCD";
            let body = unsigned.seal(&code);
            assert!(body.starts_with(&covered));
            let back = dialect.unpack(&body).expect("unpack");
            let (found, value) = dialect.mac_of(&body, &back).expect("mac");
            assert_eq!((found, value), (covered.as_slice(), code));
            let carrier = if message.elements().any(|de| de > 64) { 128 } else { 64 };
            assert_eq!(back.elements().last(), Some(carrier));
            let bare = dialect.pack(&message).expect("pack");
            let error = dialect.mac_of(&bare, &message).expect_err("no mac");
            assert_eq!(error.what, What::NoMac);
        }
    }
    let [ascii, bcd] = both();
    assert_eq!(ascii.mac().expect("mac").algorithm, MacAlgorithm::Iso9797Alg3Pad2);
    assert_eq!(bcd.mac().expect("mac").algorithm, MacAlgorithm::UnionpayEcb);
}

#[test]
fn working_keys_travel_in_the_sign_on_answer() {
    for dialect in both() {
        let request = dialect.compose("sign_on", &values()).expect("compose");
        let mut answer = dialect.answer_to(&request).expect("answer");
        assert_eq!(answer.mti, Mti::parse("0810").expect("mti"));
        let material = [0xA5u8; 64];
        assert!(dialect.set_zone_keys(&mut answer, |_, length| material.get(..length)));
        let body = dialect.pack(&answer).expect("pack");
        let back = dialect.unpack(&body).expect("unpack");
        let keys = dialect.zone_keys(&back).expect("keys");
        assert_eq!(keys.get(&KeyPart::Pin).map(|key| key.len()), Some(16));
        assert!(keys.contains_key(&KeyPart::Mac) && keys.contains_key(&KeyPart::MacCheck));
        let shown = dialect.mask(&back).to_string();
        assert!(!shown.contains("A5A5"), "{shown}");
        assert!(dialect.zone_keys(&request).is_none());
    }
}

#[test]
fn answers_pair_with_their_requests() {
    for dialect in both() {
        let values = values();
        let request = dialect.compose("hold", &values).expect("compose");
        let answer = dialect.answer_to(&request).expect("answer");
        assert_eq!(dialect.match_key(&request), dialect.match_key(&answer));
        let other = answer.clone().with(11, "000999");
        assert_ne!(dialect.match_key(&request), dialect.match_key(&other));
        let pay = dialect.compose("pay", &values).expect("compose");
        assert_ne!(dialect.match_key(&request), dialect.match_key(&pay));
        assert!(dialect.answer_to(&answer).is_none());
        for de in [3, 4, 11, 12, 13, 37, 41, 42, 49] {
            assert_eq!(answer.bytes(de), request.bytes(de), "DE {de}");
        }
        assert!(!answer.has(35));
    }
}

#[test]
fn response_codes_are_one_table_of_data() {
    for dialect in both() {
        let rows = [
            ("00", Verdict::Yes, Action::None),
            ("55", Verdict::No, Action::RetryPin),
            ("75", Verdict::No, Action::PinExhausted),
            ("51", Verdict::No, Action::None),
            ("A0", Verdict::No, Action::SignOn),
            ("68", Verdict::InDoubt, Action::None),
            ("96", Verdict::InDoubt, Action::RetryLater),
            ("10", Verdict::InDoubt, Action::None),
            ("ZZ", Verdict::InDoubt, Action::None),
        ];
        for (code, verdict, action) in rows {
            let meaning = dialect.meaning(code);
            assert_eq!((meaning.verdict, meaning.action), (verdict, action), "{code}");
        }
        assert!(dialect.codes().count() > 55);
        for (code, expected) in [
            ("00", AdviceVerdict::Done),
            ("25", AdviceVerdict::Done),
            ("30", AdviceVerdict::Operator),
            ("96", AdviceVerdict::Repeat),
        ] {
            assert_eq!(dialect.reversal_verdict(code), expected, "{code}");
        }
        assert_eq!(dialect.refund_verdict("00"), AdviceVerdict::Done);
        assert_eq!(dialect.refund_verdict("25"), AdviceVerdict::Operator, "no money went back");
        assert_eq!(dialect.payment_flow(), PaymentFlow::TwoStep);
        assert_eq!(dialect.entry_mode(Entry::Swipe, true), Some("021"));
        assert_eq!(dialect.entry_mode(Entry::Contactless, false), Some("072"));
    }
}

#[test]
fn a_table_that_contradicts_itself_is_refused_with_its_place() {
    let good = include_str!("../dialects/ascii.toml");
    let rows = [
        ("carrier_extended = 128", "", "mac"),
        ("max = 19", "max = 119", "DE 2"),
        ("{stan}", "{stam}", "transactions."),
        ("key = [7, 11, 37, 41]", "key = [2]", "matching.key"),
        ("field = 48", "field = 65", "keys"),
        ("{ de = 3, ", "{ de = 2, ", "DE 2"),
        ("text = \"ascii\"", "text = \"bcd\"", "coding.text"),
        ("name = \"forwarder\", length = 11", "name = \"other\", length = 11", "original"),
    ];
    for (from, to, place) in rows {
        assert!(good.contains(from), "{from}");
        match Dialect::parse(&good.replacen(from, to, 1)) {
            Err(DialectError::Invalid { place: found, .. }) => {
                assert!(found.starts_with(place), "{from}: {found}")
            }
            other => panic!("{from}: {:?}", other.map(|d| d.name().to_string())),
        }
    }
    assert!(matches!(Dialect::parse("name = 1"), Err(DialectError::Toml(_))));
    assert!(matches!(Dialect::named("/no/such/table.toml"), Err(DialectError::Io { .. })));
}

#[test]
fn a_message_shows_nothing_secret() {
    let dialect = Dialect::named("ascii").expect("ascii");
    let mut values = values();
    values.set_bytes("pin_block", &[0x2A; 8]);
    let message: Message = dialect.compose("pay", &values).expect("compose");
    for shown in [format!("{message:?}"), dialect.mask(&message).to_string()] {
        for secret in ["6200000000000005", "3012", "2A2A", "=30122010000000000"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("620000******0005"), "{shown}");
    }
}

#[test]
fn every_cut_and_every_flipped_bit_of_every_transaction_is_an_error_or_says_what_it_is() {
    for dialect in both() {
        let mut values = values();
        values
            .set("auth_code", "A1B2C3")
            .set_bytes("pin_block", &[0x2A; 8])
            .set("reason", dialect.reason("timeout").expect("reason"))
            .set("original.mti", "0100")
            .set("original.stan", "000100")
            .set("original.transmission", "0315023001")
            .set("original.local_date", "0315");
        let kinds: Vec<String> = dialect.transactions().map(str::to_string).collect();
        for kind in kinds {
            let request = dialect.compose(&kind, &values).expect(&kind);
            let answer = dialect.answer_to(&request).expect(&kind).with(39, "00");
            for message in [request, answer] {
                let unsigned = dialect.pack_unsigned(&message).expect(&kind);
                let body = unsigned.seal(b"\x01\x02\x03\x04ABCD");
                for cut in 0..body.len() {
                    let error = dialect.unpack(&body[..cut]).expect_err(&kind);
                    assert!(error.offset <= cut, "{} {kind} cut at {cut}: {error}", dialect.name());
                }
                for bit in 0..body.len() * 8 {
                    let mut flipped = body.to_vec();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    let Ok(read) = dialect.unpack(&flipped) else { continue };
                    let packed = dialect.pack(&read).expect("what decodes can be encoded");
                    let same = packed.eq_ignore_ascii_case(&flipped);
                    assert!(same, "{} {kind} bit {bit}: {read:?}", dialect.name());
                }
            }
        }
    }
}
