//! What is stored of people, cards, terminals and readings, and the limits of each field.

use guichet_engine::command::{Principal, Role};
use guichet_engine::ids::PersonId;
use guichet_ports::vault::{Person, Purpose};

use crate::form::{self, Fields, FormError, Kind, Reader};

/// Bytes of a name at most.
pub const NAME_BYTES_MAX: usize = 200;
/// Bytes of a document's number at most.
pub const DOCUMENT_BYTES_MAX: usize = 64;
/// Bytes of a contact at most.
pub const CONTACT_BYTES_MAX: usize = 200;
/// Bytes of a language tag at most (BCP 47).
pub const LANGUAGE_BYTES_MAX: usize = 35;

/// Checks a person's fields; gives the name of the first that is wrong.
pub fn check_person(person: &Person) -> Result<(), &'static str> {
    let good = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    if person.name.trim().is_empty() || !good(&person.name, 1, NAME_BYTES_MAX) {
        return Err("name");
    }
    if !(1..=3).contains(&person.document_kind) {
        return Err("document_kind");
    }
    if person.document.trim().is_empty() || !good(&person.document, 1, DOCUMENT_BYTES_MAX) {
        return Err("document");
    }
    if !good(&person.contact, 0, CONTACT_BYTES_MAX) {
        return Err("contact");
    }
    if !good(&person.language, 2, LANGUAGE_BYTES_MAX) {
        return Err("language");
    }
    Ok(())
}

/// A person's fields, to be sealed.
pub fn write_person(person: &Person) -> Fields {
    let mut out = Fields::with_room(
        16 + NAME_BYTES_MAX + DOCUMENT_BYTES_MAX + CONTACT_BYTES_MAX + LANGUAGE_BYTES_MAX,
    );
    out.raw(&[person.document_kind])
        .long(person.name.as_bytes())
        .long(person.document.as_bytes())
        .long(person.contact.as_bytes())
        .long(person.language.as_bytes());
    out
}

/// Reads what [`write_person`] wrote.
pub fn read_person(bytes: &[u8]) -> Result<Person, FormError> {
    let mut reader = Reader(bytes);
    let document_kind = reader.u8()?;
    let person = Person {
        name: form::text(reader.long()?)?,
        document_kind,
        document: form::text(reader.long()?)?,
        contact: form::text(reader.long()?)?,
        language: form::text(reader.long()?)?,
    };
    reader.end()?;
    check_person(&person).map_err(|_| FormError::Field)?;
    Ok(person)
}

/// The row of a person: where the key lies, and what it seals. Nothing sealed means erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    /// The slot of the person's key.
    pub slot: u64,
    /// Nonce, ciphertext and tag; empty when erased.
    pub sealed: Vec<u8>,
}

impl PersonRow {
    pub fn write(&self) -> Vec<u8> {
        form::wrap(Kind::Person, 1, &[&self.slot.to_be_bytes()[..], &self.sealed].concat())
    }
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let (_, payload) = form::unwrap(Kind::Person, 1, bytes)?;
        let mut reader = Reader(payload);
        Ok(Self { slot: reader.u64()?, sealed: reader.0.to_vec() })
    }
}

/// The row of a card: whose it is, and the PAN sealed under that person's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardRow {
    /// The person.
    pub person: PersonId,
    /// Nonce, ciphertext and tag; empty when erased.
    pub sealed: Vec<u8>,
}

impl CardRow {
    pub fn write(&self) -> Vec<u8> {
        form::wrap(Kind::Card, 1, &[&self.person.0.to_be_bytes()[..], &self.sealed].concat())
    }
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let (_, payload) = form::unwrap(Kind::Card, 1, bytes)?;
        let mut reader = Reader(payload);
        Ok(Self { person: PersonId(reader.u128()?), sealed: reader.0.to_vec() })
    }
}

/// The state of a terminal's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TerminalRow {
    /// Generation of its tag key.
    pub tag_epoch: u32,
    /// Whether its keys are void.
    pub revoked: bool,
    /// Derivation id of its PIN pad's keys; 0 for none yet.
    pub derivation_id: u32,
}

impl TerminalRow {
    pub fn write(&self) -> Vec<u8> {
        let mut out = Fields::default();
        out.raw(&self.tag_epoch.to_be_bytes())
            .raw(&[u8::from(self.revoked)])
            .raw(&self.derivation_id.to_be_bytes());
        form::wrap(Kind::Terminal, 1, out.bytes())
    }
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let (_, payload) = form::unwrap(Kind::Terminal, 1, bytes)?;
        let mut reader = Reader(payload);
        let row = Self {
            tag_epoch: reader.u32()?,
            revoked: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(FormError::Field),
            },
            derivation_id: reader.u32()?,
        };
        reader.end()?;
        Ok(row)
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A person's name and documents.
    Person(u128),
    /// A card's number.
    Card(u128),
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingOutcome {
    /// The data was given out.
    Given,
    /// The person was erased.
    Erased,
    /// The record did not open.
    Damaged,
}

/// One reading of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When, in microseconds UTC.
    pub at_us: i64,
    /// Who read; absent in records of the form's first version.
    pub by: Option<Principal>,
    /// What for.
    pub purpose: Purpose,
    /// Of whom or which card.
    pub subject: Subject,
    /// How it ended.
    pub outcome: ReadingOutcome,
}

impl Reading {
    pub(crate) fn write(&self) -> Vec<u8> {
        let (kind, id) = match self.subject {
            Subject::Person(id) => (1, id),
            Subject::Card(id) => (2, id),
        };
        let purpose = match self.purpose {
            Purpose::OwnOrder => 1,
            Purpose::Ticket => 2,
            Purpose::BankMessage => 3,
            Purpose::TerminalTag => 4,
            Purpose::Enquiry => 5,
        };
        let outcome = match self.outcome {
            ReadingOutcome::Given => 1,
            ReadingOutcome::Erased => 2,
            ReadingOutcome::Damaged => 3,
        };
        let mut out = Fields::default();
        out.raw(&self.at_us.to_be_bytes())
            .raw(&[purpose, kind])
            .raw(&id.to_be_bytes())
            .raw(&[outcome]);
        let Some(by) = self.by else { return form::wrap(Kind::Access, 1, out.bytes()) };
        out.raw(&[role_code(by.role)]).raw(&by.id.to_be_bytes());
        form::wrap(Kind::Access, 2, out.bytes())
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let (version, payload) = form::unwrap(Kind::Access, 2, bytes)?;
        let mut reader = Reader(payload);
        let at_us = reader.i64()?;
        let purpose = match reader.u8()? {
            1 => Purpose::OwnOrder,
            2 => Purpose::Ticket,
            3 => Purpose::BankMessage,
            4 => Purpose::TerminalTag,
            5 => Purpose::Enquiry,
            _ => return Err(FormError::Field),
        };
        let subject = match (reader.u8()?, reader.u128()?) {
            (1, id) => Subject::Person(id),
            (2, id) => Subject::Card(id),
            _ => return Err(FormError::Field),
        };
        let outcome = match reader.u8()? {
            1 => ReadingOutcome::Given,
            2 => ReadingOutcome::Erased,
            3 => ReadingOutcome::Damaged,
            _ => return Err(FormError::Field),
        };
        let by = match version {
            1 => None,
            _ => Some(Principal { role: role_of(reader.u8()?)?, id: reader.u64()? }),
        };
        reader.end()?;
        Ok(Self { at_us, by, purpose, subject, outcome })
    }
}

const ROLES: [Role; 7] = [
    Role::Guest,
    Role::Agent,
    Role::Terminal,
    Role::Gateway,
    Role::System,
    Role::Operator,
    Role::Clerk,
];

/// The code of a role, for ever.
const fn role_code(role: Role) -> u8 {
    match role {
        Role::Guest => 1,
        Role::Agent => 2,
        Role::Terminal => 3,
        Role::Gateway => 4,
        Role::System => 5,
        Role::Operator => 6,
        Role::Clerk => 7,
    }
}

fn role_of(code: u8) -> Result<Role, FormError> {
    ROLES.into_iter().find(|role| role_code(*role) == code).ok_or(FormError::Field)
}

/// A second factor as it is compared: without white space, in lower case, full-width forms as ASCII.
pub fn fold_factor(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| match c {
            '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            other => other,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person() -> Person {
        Person {
            name: "王小明".to_owned(),
            document_kind: 1,
            document: "11010119900307123X".to_owned(),
            contact: String::new(),
            language: "zh-CN".to_owned(),
        }
    }

    fn golden(bytes: &[u8], payload: &str) {
        assert_eq!(hex::encode(&bytes[form::ENVELOPE_BYTES..]), payload);
    }

    #[test]
    fn golden_rows() {
        assert_eq!(
            hex::encode(write_person(&person()).bytes()),
            concat!(
                "01",
                "0009e78e8be5b08fe6988e",
                "0012313130313031313939303033303731323358",
                "0000",
                "00057a682d434e"
            )
        );
        let row = PersonRow { slot: 5, sealed: vec![1, 2] };
        golden(&row.write(), "00000000000000050102");
        let row = CardRow { person: PersonId(6), sealed: vec![3] };
        golden(&row.write(), "0000000000000000000000000000000603");
        let row = TerminalRow { tag_epoch: 2, revoked: true, derivation_id: 9 };
        golden(&row.write(), "000000020100000009");
        let reading = Reading {
            at_us: 7,
            by: None,
            purpose: Purpose::Enquiry,
            subject: Subject::Card(8),
            outcome: ReadingOutcome::Erased,
        };
        golden(&reading.write(), "000000000000000705020000000000000000000000000000000802");
        let by = Some(Principal { role: Role::Operator, id: 9 });
        golden(
            &Reading { by, ..reading }.write(),
            "000000000000000705020000000000000000000000000000000802060000000000000009",
        );
    }

    #[test]
    fn rows_read_as_written() {
        assert_eq!(read_person(write_person(&person()).bytes()), Ok(person()));
        let row = PersonRow { slot: 5, sealed: vec![] };
        assert_eq!(PersonRow::parse(&row.write()), Ok(row));
        let row = CardRow { person: PersonId(6), sealed: vec![3] };
        assert_eq!(CardRow::parse(&row.write()), Ok(row));
        for revoked in [false, true] {
            let row = TerminalRow { tag_epoch: 2, revoked, derivation_id: 9 };
            assert_eq!(TerminalRow::parse(&row.write()), Ok(row));
        }
        for purpose in [
            Purpose::OwnOrder,
            Purpose::Ticket,
            Purpose::BankMessage,
            Purpose::TerminalTag,
            Purpose::Enquiry,
        ] {
            for subject in [Subject::Person(1), Subject::Card(2)] {
                for outcome in
                    [ReadingOutcome::Given, ReadingOutcome::Erased, ReadingOutcome::Damaged]
                {
                    let roles = ROLES.map(|role| Some(Principal { role, id: u64::MAX }));
                    for by in roles.into_iter().chain([None]) {
                        let reading = Reading { at_us: -1, by, purpose, subject, outcome };
                        assert_eq!(Reading::parse(&reading.write()), Ok(reading));
                    }
                }
            }
        }
    }

    #[test]
    fn fields_at_their_edges() {
        let with = |change: &dyn Fn(&mut Person)| {
            let mut changed = person();
            change(&mut changed);
            check_person(&changed)
        };
        type Row<'a> = (&'a dyn Fn(&mut Person), Result<(), &'a str>);
        let rows: [Row<'_>; 16] = [
            (&|_| {}, Ok(())),
            (&|p| p.name = String::new(), Err("name")),
            (&|p| p.name = "  ".into(), Err("name")),
            (&|p| p.name = "a\nb".into(), Err("name")),
            (&|p| p.name = "x".repeat(NAME_BYTES_MAX), Ok(())),
            (&|p| p.name = "x".repeat(NAME_BYTES_MAX + 1), Err("name")),
            (&|p| p.document_kind = 0, Err("document_kind")),
            (&|p| p.document_kind = 4, Err("document_kind")),
            (&|p| p.document = String::new(), Err("document")),
            (&|p| p.document = "x".repeat(DOCUMENT_BYTES_MAX), Ok(())),
            (&|p| p.document = "x".repeat(DOCUMENT_BYTES_MAX + 1), Err("document")),
            (&|p| p.contact = "x".repeat(CONTACT_BYTES_MAX), Ok(())),
            (&|p| p.contact = "x".repeat(CONTACT_BYTES_MAX + 1), Err("contact")),
            (&|p| p.language = "z".into(), Err("language")),
            (&|p| p.language = "x".repeat(LANGUAGE_BYTES_MAX), Ok(())),
            (&|p| p.language = "x".repeat(LANGUAGE_BYTES_MAX + 1), Err("language")),
        ];
        for (at, (change, expected)) in rows.iter().enumerate() {
            assert_eq!(with(change), *expected, "row {at}");
        }
    }

    #[test]
    fn factors_fold() {
        for (typed, folded) in
            [("123X", "123x"), (" 1 2\t3x ", "123x"), ("１２３Ｘ", "123x"), ("王 明", "王明")]
        {
            assert_eq!(fold_factor(typed), folded);
        }
    }

    proptest! {
        #[test]
        fn random_rows_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = read_person(&bytes);
            let wrapped = |kind| form::wrap(kind, 1, &bytes);
            let _ = PersonRow::parse(&wrapped(Kind::Person));
            let _ = CardRow::parse(&wrapped(Kind::Card));
            let _ = TerminalRow::parse(&wrapped(Kind::Terminal));
            let _ = Reading::parse(&wrapped(Kind::Access));
            let _ = PersonRow::parse(&bytes);
        }

        #[test]
        fn cut_people_are_refused(len in 0usize..52) {
            let written = write_person(&person());
            prop_assert!(read_person(&written.bytes()[..len.min(written.bytes().len() - 1)]).is_err());
        }
    }
}
