//! Published and computed vectors, decoded and encoded again byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use guichet_iso8583::{CodecError, Dialect, Kind, Message, Mti, What};
use proptest::prelude::*;

#[derive(serde::Deserialize)]
struct Vector {
    id: String,
    table: String,
    form: String,
    wire: String,
    mti: String,
    fields: BTreeMap<String, String>,
    #[serde(default)]
    partial: bool,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn table(name: &str) -> Dialect {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/tables/{name}.toml"));
    if path.exists() {
        Dialect::load(&path).expect(name)
    } else {
        Dialect::named(name).expect(name)
    }
}

fn vectors() -> Vec<Vector> {
    let path = root().join("tests/fixtures/iso8583/vectors.json");
    let text = std::fs::read_to_string(path).expect("vectors");
    serde_json::from_str(&text).expect("vectors are JSON")
}

/// The body of a vector, and the whole frame if it has one.
fn wire(vector: &Vector, dialect: &Dialect) -> (Vec<u8>, Option<Vec<u8>>) {
    match vector.form.as_str() {
        "ascii" => (vector.wire.clone().into_bytes(), None),
        "hex" => (hex::decode(&vector.wire).expect("hex"), None),
        _ => {
            let bytes = hex::decode(&vector.wire).expect("hex");
            let frame = dialect.deframe(&bytes).expect("frame").expect("whole");
            assert_eq!(frame.consumed, bytes.len(), "{}", vector.id);
            (bytes[frame.body.clone()].to_vec(), Some(bytes))
        }
    }
}

fn shown(dialect: &Dialect, message: &Message, de: u8) -> String {
    match dialect.field(de).map(|spec| spec.kind) {
        Some(Kind::B) => hex::encode_upper(message.bytes(de).unwrap_or_default()),
        _ => message.text(de).unwrap_or_default().to_string(),
    }
}

#[test]
fn every_vector_decodes_to_its_fields_and_encodes_to_its_bytes() {
    let all = vectors();
    assert_eq!(all.len(), 21);
    for vector in &all {
        let dialect = table(&vector.table);
        let (body, frame) = wire(vector, &dialect);
        let message =
            dialect.unpack(&body).unwrap_or_else(|error| panic!("{}: {error}", vector.id));
        assert_eq!(message.mti.to_string(), vector.mti, "{}", vector.id);
        for (de, value) in &vector.fields {
            let de: u8 = de.parse().expect("number");
            assert_eq!(&shown(&dialect, &message, de), value, "{} DE {de}", vector.id);
        }
        if !vector.partial {
            assert_eq!(message.elements().count(), vector.fields.len(), "{}", vector.id);
        }
        let packed = dialect.pack(&message).expect("pack");
        assert_eq!(hex::encode(&packed[..]), hex::encode(&body), "{}", vector.id);
        if let Some(frame) = frame {
            let found = dialect.deframe(&frame).expect("frame").expect("whole");
            let again = dialect.frame(&packed, &found.routing).expect("frame");
            assert_eq!(hex::encode(&again[..]), hex::encode(&frame), "{}", vector.id);
        }
        let mut built = Message::new(Mti::parse(&vector.mti).expect("mti"));
        for de in message.elements() {
            built.set_bytes(de, message.bytes(de).expect("present"));
        }
        assert_eq!(built, message, "{}", vector.id);
    }
}

#[test]
fn every_truncation_is_an_error_with_its_place() {
    for vector in &vectors() {
        let dialect = table(&vector.table);
        let (body, _) = wire(vector, &dialect);
        for cut in 0..body.len() {
            let error = dialect.unpack(&body[..cut]).expect_err(&vector.id);
            assert!(error.offset <= cut, "{} cut at {cut}: {error}", vector.id);
        }
        let mut longer = body.clone();
        longer.push(b'0');
        let error = dialect.unpack(&longer).expect_err(&vector.id);
        assert_eq!(error.what, What::TrailingBytes { count: 1 });
        assert_eq!(error.offset, body.len());
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_another_message_with_the_same_bytes() {
    for vector in &vectors() {
        let dialect = table(&vector.table);
        let (body, _) = wire(vector, &dialect);
        for at in 0..body.len() {
            for bit in 0..8 {
                let mut flipped = body.clone();
                flipped[at] ^= 1 << bit;
                check_canonical(&dialect, &flipped);
            }
        }
    }
}

/// What decodes encodes to the same bytes, but for the case of hexadecimal letters.
fn check_canonical(dialect: &Dialect, bytes: &[u8]) {
    match dialect.unpack(bytes) {
        Ok(message) => {
            let packed = dialect.pack(&message).expect("what decodes can be encoded");
            assert!(
                packed.eq_ignore_ascii_case(bytes),
                "{} decodes as {message:?} and encodes as {}",
                hex::encode(bytes),
                hex::encode(&packed[..])
            );
        }
        Err(CodecError { offset, .. }) => assert!(offset <= bytes.len()),
    }
}

#[test]
fn other_projects_samples_end_in_a_message_or_a_typed_error() {
    let folder = root().join("tests/fixtures/iso8583/moov");
    let dialect = table("87a");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|ext| ext == "dat") {
            check_canonical(&dialect, &std::fs::read(&path).expect("sample"));
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} samples");
}

#[test]
fn bad_bytes_are_named_with_element_and_offset() {
    let ascii = Dialect::named("ascii").expect("ascii");
    let bcd = Dialect::named("bcd").expect("bcd");
    type Row<'a> = (&'a Dialect, Vec<u8>, What, Option<u8>, usize);
    let rows: [Row<'_>; 12] = [
        (&ascii, b"02".to_vec(), What::Truncated { missing: 2 }, None, 0),
        (&ascii, b"02x0".to_vec(), What::BadMti, None, 2),
        (&ascii, b"0900".to_vec(), What::BadMti, None, 0),
        (&ascii, b"0800G000000000000000".to_vec(), What::BitmapNotHex, None, 4),
        (
            &ascii,
            b"080080000000000000000000000000000000".to_vec(),
            What::EmptySecondaryBitmap,
            None,
            20,
        ),
        (&ascii, b"080080000000000000008000000000000000".to_vec(), What::TertiaryBitmap, None, 20),
        (&ascii, b"08000020000000000000".to_vec(), What::Truncated { missing: 6 }, Some(11), 20),
        (&ascii, b"0800002000000000000012345x".to_vec(), What::BadCharacter, Some(11), 25),
        (
            &ascii,
            b"0100400000000000000020".to_vec(),
            What::TooLong { found: 20, max: 19 },
            Some(2),
            20,
        ),
        (&ascii, b"010040000000000000001x".to_vec(), What::LengthNotDecimal, Some(2), 21),
        (&bcd, hex::decode("08008000000000000000").expect("hex"), What::SecondaryBitmap, None, 2),
        (
            &bcd,
            hex::decode("0800002000000000000012A456").expect("hex"),
            What::BadNibble,
            Some(11),
            11,
        ),
    ];
    for (dialect, bytes, what, de, offset) in rows {
        let error = dialect.unpack(&bytes).expect_err("refused");
        assert_eq!(error, CodecError { what, de, offset });
    }
    assert_eq!(
        ascii.unpack(b"0800002000000000000012345x").expect_err("refused").to_string(),
        "character does not belong to the element's type (DE 11, byte 25)"
    );
}

#[test]
fn values_that_do_not_fit_are_refused_at_packing() {
    let dialect = Dialect::named("ascii").expect("ascii");
    let base = Message::new(Mti::parse("0200").expect("mti"));
    let rows = [
        (2, "12345678901234567890", What::TooLong { found: 20, max: 19 }),
        (2, "1234567", What::TooShort { found: 7, min: 8 }),
        (4, "1", What::TooShort { found: 1, min: 12 }),
        (4, "00000000123x", What::BadCharacter),
        (35, "12345678D1234", What::BadCharacter),
        (65, "1", What::UnknownElement),
    ];
    for (de, value, what) in rows {
        let error = dialect.pack(&base.clone().with(de, value)).expect_err(value);
        assert_eq!((error.what, error.de), (what, Some(de)));
    }
    let bcd = Dialect::named("bcd").expect("bcd");
    let error = bcd.pack(&base.with(70, "001")).expect_err("no secondary bitmap");
    assert_eq!(error.what, What::SecondaryBitmap);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for name in Dialect::shipped() {
            let dialect = Dialect::named(name).expect("shipped");
            check_canonical(&dialect, &bytes);
            if let Ok(Some(frame)) = dialect.deframe(&bytes) {
                prop_assert!(frame.consumed <= bytes.len());
            }
        }
    }

    #[test]
    fn random_bodies_under_a_good_start_never_panic(
        bits in any::<u64>(),
        tail in proptest::collection::vec(prop_oneof![Just(b'0'), Just(b'1'), any::<u8>()], 0..600),
    ) {
        for name in Dialect::shipped() {
            let dialect = Dialect::named(name).expect("shipped");
            let mut bytes = if name == "bcd" {
                let mut start = vec![2, 0];
                start.extend((bits & !(1 << 63)).to_be_bytes());
                start
            } else {
                format!("0200{bits:016X}").into_bytes()
            };
            bytes.extend(&tail);
            check_canonical(&dialect, &bytes);
        }
    }
}
