//! The port of the vault and member store (part 12): the only place of names, documents and PANs.

use guichet_engine::command::Principal;
use guichet_engine::ids::{CardId, PersonId, Reference};

use crate::keys::CardIdentity;
use crate::secret::Pan;

/// Why the vault refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultFault {
    /// Nothing is stored under the id.
    #[error("nothing is stored under this id")]
    Unknown,
    /// The person's key was destroyed.
    #[error("the person was erased")]
    Erased,
    /// A field is empty, too long, or no PAN.
    #[error("a field has the wrong form: {0}")]
    BadForm(&'static str),
    /// The store could not be read or written.
    #[error("the vault failed")]
    Store,
    /// What is stored does not decrypt.
    #[error("a stored record is damaged")]
    Damaged,
}

/// A person as the member store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Name as in the document, any script.
    pub name: String,
    /// Kind of document: 1 identity card, 2 passport, 3 other.
    pub document_kind: u8,
    /// Number of the document.
    pub document: String,
    /// Telephone or mail address; may be empty.
    pub contact: String,
    /// BCP 47 language.
    pub language: String,
}

/// A card that was put into the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCard {
    /// Where the PAN lies.
    pub card: CardId,
    /// Tag, routing slot, mask.
    pub identity: CardIdentity,
}

/// Why personal data is read; the reading is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To show the person their own order.
    OwnOrder,
    /// To print a ticket.
    Ticket,
    /// To send a bank message that needs the PAN.
    BankMessage,
    /// To send a terminal the tag of a booking.
    TerminalTag,
    /// An operator's or agent's enquiry.
    Enquiry,
}

/// The vault and member store.
pub trait VaultPort: Send + Sync {
    /// Stores a person under a fresh key of their own; durable when it returns.
    ///
    /// # Errors
    /// `BadForm`, `Store`.
    fn put_person(&self, person: &Person) -> Result<PersonId, VaultFault>;
    /// Reads a person and records who read it and why.
    ///
    /// # Errors
    /// `Unknown`, `Erased`, `Damaged`, `Store`.
    fn person(&self, id: PersonId, by: Principal, purpose: Purpose) -> Result<Person, VaultFault>;
    /// Stores a card of a person; durable when it returns.
    ///
    /// # Errors
    /// `BadForm` when it is no PAN, `Unknown` person, `Erased`, `Store`.
    fn put_card(&self, person: PersonId, pan: &Pan) -> Result<StoredCard, VaultFault>;
    /// The mask of a card (first six, last four).
    ///
    /// # Errors
    /// `Unknown`, `Erased`, `Store`.
    fn card_mask(&self, id: CardId) -> Result<String, VaultFault>;
    /// The PAN, for the bank gateway and terminal tags only; who read it and why is recorded.
    ///
    /// # Errors
    /// `Unknown`, `Erased`, `Damaged`, `Store`.
    fn pan(&self, id: CardId, by: Principal, purpose: Purpose) -> Result<Pan, VaultFault>;
    /// A keyed digest of an order's second factor (case and spaces folded).
    fn factor(&self, reference: Reference, second_factor: &str) -> [u8; 16];
    /// Destroys a person's key.
    ///
    /// # Errors
    /// `Unknown`, `Store`.
    fn erase(&self, id: PersonId) -> Result<(), VaultFault>;
}
