//! Booking: from what a person asked for to the command. Site and API share it.

use std::sync::Arc;

use guichet_engine::command::{Body, Channel, Command, NewLine, PlaceOrder, Principal, Role};
use guichet_engine::event::{Authority, CardOnFile, LinePlaced, Needs, Passenger, ServiceSpec};
use guichet_engine::ids::{
    AcquirerId, CommandId, LineNo, OperatorId, OrderId, PassengerNo, Reference, ServiceId, UnitNo,
};
use guichet_engine::limits::{ORDER_LINES_MAX, ORDER_PASSENGERS_MAX};
use guichet_engine::network::Effective;
use guichet_engine::order::{LinePhase, Order};
use guichet_engine::time::Instant;
use guichet_ports::center::{Center, Secrets};
use guichet_ports::keys::KeyServer;
use guichet_ports::secret::Pan;
use guichet_ports::ticket_information::TicketInformation;
use guichet_ports::vault::{Person, VaultPort};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::view::OrderView;

/// Characters of a second factor, at least.
pub const FACTOR_CHARS_MIN: usize = 4;
/// Characters of any text a person types, at most.
pub const TEXT_CHARS_MAX: usize = 60;
/// How long a booking waits for its places before it is answered as pending, in milliseconds.
pub const HOLD_PATIENCE_MS: u64 = 8_000;
/// A booking is held for this long at least, in microseconds.
const LEAST_HOLD_US: i64 = 60 * 1_000_000;

/// The ports a booking needs.
#[derive(Clone)]
pub struct Desk {
    /// The center.
    pub center: Arc<dyn Center>,
    /// Timetables, prices and places.
    pub info: Arc<dyn TicketInformation>,
    /// Names and cards.
    pub vault: Arc<dyn VaultPort>,
    /// Tags and routing.
    pub keys: Arc<dyn KeyServer>,
    /// Whose network.
    pub operator: OperatorId,
    /// The acquirer that handles the cards.
    pub acquirer: AcquirerId,
    /// Turns idempotency keys into ids nobody can guess.
    pub secret: [u8; 32],
}

/// A booking as the API takes it; it holds a card number and so cannot be printed.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookingRequest {
    /// Who travels.
    pub passengers: Vec<PassengerRequest>,
    /// What is booked.
    pub lines: Vec<LineRequest>,
    /// The number of the card it will be paid and collected with, 13 to 19 digits.
    #[schema(example = "6210948000000011")]
    pub card: String,
    /// The station where it will be collected; the first line's origin when absent.
    pub pickup: Option<String>,
    /// A word or number of your choice that, with the reference, opens the booking.
    pub second_factor: String,
}

/// A passenger.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassengerRequest {
    /// Name as in the document.
    pub name: String,
    /// `identity_card`, `passport` or `other`.
    pub document_kind: String,
    /// The document's number.
    pub document: String,
    /// Telephone or mail address.
    #[serde(default)]
    pub contact: String,
}

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineRequest {
    /// The service's id, from the search.
    pub service: String,
    /// The place where it begins.
    pub from: String,
    /// The place where it ends.
    pub to: String,
    /// The class.
    pub class: u8,
    /// Which passenger, from 0.
    pub passenger: u8,
    /// The place picked on the seat map.
    pub seat: Option<u16>,
    /// A place for a wheelchair.
    #[serde(default)]
    pub wheelchair: bool,
    /// A window seat, if there is one.
    #[serde(default)]
    pub window: bool,
}

/// Ids that follow from an idempotency key: a repetition finds the same order.
pub struct KeyedIds {
    /// The command's id.
    pub command: CommandId,
    /// The order's number within its slot.
    pub unique: u64,
    /// The order's reference.
    pub reference: Reference,
}

/// Crockford's base 32, without I, L, O and U.
pub const REFERENCE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn mac(secret: &[u8; 32], what: &str, data: &[u8]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return [0; 32] };
    mac.update(what.as_bytes());
    mac.update(&[0]);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Derives the ids of a key.
#[must_use]
pub fn keyed_ids(secret: &[u8; 32], key: &str) -> KeyedIds {
    let first = mac(secret, "order", key.as_bytes());
    let second = mac(secret, "reference", key.as_bytes());
    let mut unique = [0; 8];
    unique.copy_from_slice(&first[..8]);
    let mut command = [0; 16];
    command.copy_from_slice(&first[16..]);
    let mut reference = [0; 10];
    for (letter, byte) in reference.iter_mut().zip(second) {
        *letter = REFERENCE_ALPHABET[usize::from(byte % 32)];
    }
    KeyedIds {
        command: CommandId(u128::from_be_bytes(command)),
        unique: u64::from_be_bytes(unique),
        reference: Reference(reference),
    }
}

/// A seal of a text that only this site can make, as 64 hexadecimal digits.
#[must_use]
pub fn keyed_text(secret: &[u8; 32], what: &str, text: &str) -> String {
    hex::encode(mac(secret, what, text.as_bytes()))
}

/// A digest of what a client said.
#[must_use]
pub fn fingerprint(secret: &[u8; 32], body: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&mac(secret, "body", body)[..16]);
    out
}

/// Reads a reference as people type it: lower case, blanks, hyphens, and the letters that look like digits.
#[must_use]
pub fn read_reference(text: &str) -> Option<Reference> {
    let folded: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    folded
        .bytes()
        .all(|b| REFERENCE_ALPHABET.contains(&b))
        .then(|| Reference::parse(&folded))
        .flatten()
}

/// Whether digits pass the Luhn check (ISO/IEC 7812-1 annex B), 13 to 19 of them.
#[must_use]
pub fn is_card_number(digits: &str) -> bool {
    if !(13..=19).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(n, b)| {
            let digit = u32::from(b - b'0');
            if n % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn text(field: &str, value: &str) -> Result<String, Problem> {
    let value = value.trim();
    if value.is_empty() {
        return Err(Problem::field(field, "this is missing"));
    }
    if value.chars().count() > TEXT_CHARS_MAX || value.chars().any(char::is_control) {
        return Err(Problem::field(field, format!("at most {TEXT_CHARS_MAX} plain characters")));
    }
    Ok(value.to_owned())
}

fn document_kind(text: &str) -> Option<u8> {
    match text {
        "identity_card" => Some(1),
        "passport" => Some(2),
        "other" => Some(3),
        _ => None,
    }
}

/// Until when a booking is held: as long as is configured, and no longer than there is time to collect it.
fn expiry(rules: &Effective, now: Instant, lines: &[NewLine]) -> Result<Instant, Problem> {
    let first = lines.iter().map(|(l, _)| l.product.departs).min().unwrap_or(now);
    if first <= soonest(rules, now) {
        return Err(Problem::field(
            "lines",
            "this service leaves too soon to be collected at a terminal",
        ));
    }
    let last_moment = first.plus_us(-i64::from(rules.close_before_s) * 1_000_000);
    Ok(now.plus_us(i64::from(rules.hold_s) * 1_000_000).min(last_moment))
}

/// What leaves no later than this cannot be booked any more: its booking has to be held for a while.
#[must_use]
pub fn soonest(rules: &Effective, now: Instant) -> Instant {
    now.plus_us(i64::from(rules.close_before_s) * 1_000_000 + LEAST_HOLD_US)
}

impl Desk {
    /// Places a booking and waits until its places are held or refused.
    ///
    /// # Errors
    /// A [`Problem`] that names the field or the reject; nothing is booked then.
    pub async fn place(
        &self,
        key: &str,
        request: &BookingRequest,
        language: &str,
    ) -> Result<Arc<Order>, Problem> {
        let card =
            Pan::new(request.card.chars().filter(|c| !c.is_whitespace() && *c != '-').collect());
        if !is_card_number(card.expose()) {
            return Err(Problem::field("card", "this is not a card number; check its digits"));
        }
        let factor = text("second_factor", &request.second_factor)?;
        if factor.chars().count() < FACTOR_CHARS_MIN {
            return Err(Problem::field(
                "second_factor",
                format!("at least {FACTOR_CHARS_MIN} characters"),
            ));
        }
        let people = self.people(request, language)?;
        let lines = self.lines(request)?;
        let pickup = match &request.pickup {
            Some(place) if self.info.station(place).is_some() => place.clone(),
            Some(_) => return Err(Problem::field("pickup", "there is no such station")),
            None => lines[0].0.product.from_place.clone(),
        };
        let identity = self
            .keys
            .identify(&card)
            .map_err(|_| Problem::field("card", "this is not a card number; check its digits"))?;
        let ids = keyed_ids(&self.secret, key);
        let order = OrderId::new(identity.routing, ids.unique);
        let known = self.center.order_by_reference(ids.reference).await;
        let (passengers, card) = match known {
            Some(other) if other != order => {
                return Err(guichet_ports::center::Refused::Rejected(
                    guichet_engine::reject::Reject::IdReused,
                )
                .into());
            }
            // A repetition: the engine answers from its memory, and nothing is stored twice.
            Some(_) => match self.center.order(order).await {
                Some(known) => (known.placed.passengers.clone(), known.placed.card),
                None => return Err(Problem::no_order()),
            },
            None => self.store(&people, &card)?,
        };
        let now = self.center.now();
        let rules = self.rules().await;
        let expires = expiry(&rules, now, &lines)?;
        let currency = lines[0].0.fare.price.currency();
        let body = serde_json::to_vec(request).unwrap_or_default();
        let command = Command {
            id: ids.command,
            fingerprint: fingerprint(&self.secret, &body),
            at: now,
            principal: Principal { role: Role::Guest, id: 0 },
            second: None,
            channel: Channel::Web,
            reason: 0,
            body: Body::PlaceOrder(Box::new(PlaceOrder {
                order,
                operator: self.operator,
                reference: ids.reference,
                factor: self.vault.factor(ids.reference, &factor),
                card,
                passengers,
                lines,
                pickup,
                currency,
                expires,
                config: rules.version,
            })),
        };
        self.center.submit(command, Secrets::default()).await?;
        self.settled(order).await.ok_or_else(Problem::no_order)
    }

    /// Waits until no line of a fresh order is being asked for, or the patience is over.
    async fn settled(&self, id: OrderId) -> Option<Arc<Order>> {
        let begin = self.center.now();
        let mut order = self.center.order(id).await?;
        loop {
            let waited_ms = u64::try_from(self.center.now().since_us(begin) / 1000).unwrap_or(0);
            let asking = order.lines.iter().any(|l| matches!(l.phase, LinePhase::Asking));
            if !asking || waited_ms >= HOLD_PATIENCE_MS {
                return Some(order);
            }
            order =
                self.center.order_after(id, order.version, HOLD_PATIENCE_MS - waited_ms).await?;
        }
    }

    fn people(&self, request: &BookingRequest, language: &str) -> Result<Vec<Person>, Problem> {
        if request.passengers.is_empty() || request.passengers.len() > ORDER_PASSENGERS_MAX {
            return Err(Problem::field(
                "passengers",
                format!("1 to {ORDER_PASSENGERS_MAX} passengers"),
            ));
        }
        request
            .passengers
            .iter()
            .enumerate()
            .map(|(n, p)| {
                let field = |name: &str| format!("passengers[{n}].{name}");
                let kind = document_kind(&p.document_kind).ok_or_else(|| {
                    Problem::field(&field("document_kind"), "identity_card, passport or other")
                })?;
                let contact = if p.contact.trim().is_empty() {
                    String::new()
                } else {
                    text(&field("contact"), &p.contact)?
                };
                Ok(Person {
                    name: text(&field("name"), &p.name)?,
                    document_kind: kind,
                    document: text(&field("document"), &p.document)?,
                    contact,
                    language: language.to_owned(),
                })
            })
            .collect()
    }

    fn lines(
        &self,
        request: &BookingRequest,
    ) -> Result<Vec<(LinePlaced, Option<ServiceSpec>)>, Problem> {
        if request.lines.is_empty() || request.lines.len() > ORDER_LINES_MAX {
            return Err(Problem::field("lines", format!("1 to {ORDER_LINES_MAX} lines")));
        }
        let together = request.lines.len() > 1;
        request
            .lines
            .iter()
            .enumerate()
            .map(|(n, line)| {
                let field = |name: &str| format!("lines[{n}].{name}");
                if usize::from(line.passenger) >= request.passengers.len() {
                    return Err(Problem::field(&field("passenger"), "there is no such passenger"));
                }
                let service = ServiceId::parse(&line.service).ok_or_else(|| {
                    Problem::field(&field("service"), "this is no service id; search again")
                })?;
                let journey =
                    self.info.journey(service, &line.from, &line.to).ok_or_else(|| {
                        Problem::field(
                            &field("service"),
                            "this service does not run between these places; search again",
                        )
                    })?;
                let offer =
                    journey.classes.iter().find(|c| c.class == line.class).ok_or_else(|| {
                        Problem::field(&field("class"), "this class is not offered on this service")
                    })?;
                let mut product = journey.product.clone();
                product.class = line.class;
                let spec = match product.authority {
                    Authority::Allotted => self.info.spec(service),
                    Authority::Live => None,
                };
                let needs = Needs {
                    wheelchair: line.wheelchair,
                    window: line.window,
                    aisle: false,
                    together,
                };
                let placed = LinePlaced {
                    product,
                    passenger: PassengerNo(line.passenger),
                    fare: offer.fare,
                    wanted: line.seat.map(UnitNo),
                    needs,
                };
                Ok((placed, spec))
            })
            .collect()
    }

    fn store(
        &self,
        people: &[Person],
        card: &Pan,
    ) -> Result<(Vec<Passenger>, CardOnFile), Problem> {
        let mut passengers = Vec::with_capacity(people.len());
        for person in people {
            passengers.push(Passenger { person: self.vault.put_person(person)?, category: 0 });
        }
        let holder = passengers.first().map(|p| p.person).unwrap_or_default();
        let stored = self.vault.put_card(holder, card)?;
        let card =
            CardOnFile { card: stored.card, tag: stored.identity.tag, acquirer: self.acquirer };
        Ok((passengers, card))
    }

    /// What the operator has configured for the booking center.
    pub async fn rules(&self) -> Effective {
        self.center.configuration(self.operator, None).await
    }

    /// The order of a reference, if the second factor is right. Both wrong cases take the same way.
    ///
    /// # Errors
    /// [`Problem::no_order`].
    pub async fn open(&self, reference: &str, second_factor: &str) -> Result<Arc<Order>, Problem> {
        let reference = read_reference(reference).unwrap_or(Reference(*b"0000000000"));
        let given = self.vault.factor(reference, second_factor);
        let order = match self.center.order_by_reference(reference).await {
            Some(id) => self.center.order(id).await,
            None => None,
        };
        let right = order.as_ref().map_or([0; 16], |o| o.placed.factor);
        let differs = given.iter().zip(right).fold(0u8, |acc, (a, b)| acc | (a ^ b));
        match order {
            Some(order) if differs == 0 => Ok(order),
            _ => Err(Problem::no_order()),
        }
    }

    /// Cancels what is not issued.
    ///
    /// # Errors
    /// What the engine rejects.
    pub async fn cancel(&self, order: &Order, key: &str) -> Result<Arc<Order>, Problem> {
        let command = Command {
            id: keyed_ids(&self.secret, &format!("cancel {} {key}", order.id)).command,
            fingerprint: fingerprint(&self.secret, b"cancel"),
            at: self.center.now(),
            principal: Principal { role: Role::Guest, id: 0 },
            second: None,
            channel: Channel::Web,
            reason: 0,
            body: Body::CancelOrder { order: order.id },
        };
        self.center.submit(command, Secrets::default()).await?;
        self.center.order(order.id).await.ok_or_else(Problem::no_order)
    }

    /// Gives an issued ticket back; its price less what the frozen rule keeps goes to the card.
    ///
    /// # Errors
    /// What the engine rejects.
    pub async fn give_back(
        &self,
        order: &Order,
        line: u8,
        key: &str,
    ) -> Result<Arc<Order>, Problem> {
        let command = Command {
            id: keyed_ids(&self.secret, &format!("refund {} {line} {key}", order.id)).command,
            fingerprint: fingerprint(&self.secret, b"refund"),
            at: self.center.now(),
            principal: Principal { role: Role::Guest, id: 0 },
            second: None,
            channel: Channel::Web,
            reason: 0,
            body: Body::RefundLine { order: order.id, line: LineNo(line) },
        };
        self.center.submit(command, Secrets::default()).await?;
        self.center.order(order.id).await.ok_or_else(Problem::no_order)
    }

    /// What a person sees of their order now.
    pub async fn view(&self, order: &Order) -> OrderView {
        OrderView::of(order, &*self.vault, self.center.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_people_type_them() {
        let ids = keyed_ids(&[7; 32], "key");
        let text = ids.reference.to_string();
        let typed = format!(" {}-{} ", text[..5].to_lowercase(), &text[5..]);
        assert_eq!(read_reference(&typed), Some(ids.reference));
        assert_eq!(
            read_reference("OIL0000000").map(|r| r.to_string()),
            Some("0110000000".to_owned())
        );
        for bad in ["", "123456789", "12345678901", "123456789U", "12345678é"] {
            assert_eq!(read_reference(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_follow_from_the_key_alone() {
        let (a, b, c) =
            (keyed_ids(&[7; 32], "key"), keyed_ids(&[7; 32], "key"), keyed_ids(&[7; 32], "kez"));
        assert_eq!((a.command, a.unique, a.reference), (b.command, b.unique, b.reference));
        assert!(a.command != c.command && a.unique != c.unique && a.reference != c.reference);
        assert_ne!(keyed_ids(&[8; 32], "key").reference, a.reference, "the secret matters");
    }

    #[test]
    fn card_numbers_are_checked() {
        for good in ["4111111111111111", "378282246310005", "6205500000000000004"] {
            assert!(is_card_number(good), "{good}");
        }
        for bad in
            ["4111111111111112", "411111111111", "41111111111111111111", "4111a11111111111", ""]
        {
            assert!(!is_card_number(bad), "{bad}");
        }
    }
}
