//! The bank's own books: accounts, holds, postings. A pure fold of requests; no clock, no I/O.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::data::{BankData, CardData};

/// Wrong PINs in a row after which a card is refused.
pub const PIN_TRIES: u8 = 3;
/// Transactions kept; the twin refuses more rather than forget.
pub const MAX_TRANSACTIONS: usize = 1_000_000;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Hold an amount.
    Hold,
    /// Complete a hold, with the PIN.
    Complete,
    /// Hold and complete in one, with the PIN.
    Pay,
    /// Undo an earlier message.
    Reverse,
    /// Give money back.
    Refund,
}

/// What a PIN check gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinCheck {
    /// The message has no PIN.
    Absent,
    /// The block does not open for this card.
    BadBlock,
    /// The PIN that was entered.
    Entered(zeroize::Zeroizing<String>),
}

/// A request as the host understood it.
#[derive(Debug, Clone)]
pub struct Request {
    /// What for.
    pub ask: Ask,
    /// Type of the first transmission, four digits.
    pub mti: String,
    /// DE 3.
    pub processing_code: String,
    /// Card number, from DE 2 or the track; empty where the dialect leaves it out.
    pub pan: String,
    /// Expiry YYMM, where given.
    pub expiry: Option<String>,
    /// DE 4.
    pub amount_minor: i64,
    /// DE 49.
    pub currency: u16,
    /// DE 11.
    pub stan: String,
    /// DE 7, else DE 13 and 12.
    pub transmission: String,
    /// DE 37.
    pub rrn: String,
    /// DE 38.
    pub auth_code: Option<String>,
    /// DE 41.
    pub terminal: String,
    /// DE 11 of the message it points to.
    pub original_stan: Option<String>,
    /// Type of the message it points to, where the dialect says.
    pub original_mti: Option<String>,
    /// The PIN.
    pub pin: PinCheck,
}

/// The state of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The amount is held.
    Held,
    /// The money has moved.
    Posted,
    /// The hold was completed by another transaction.
    Completed,
    /// The hold was given up.
    Released,
    /// The posting was undone.
    Reversed,
    /// Refused.
    Declined,
    /// Accepted without an effect: a reversal or refund that had nothing to act on.
    Noted,
}

/// One message and what it did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transaction {
    /// Number in the books, from 1.
    pub number: u64,
    /// What for.
    pub ask: Ask,
    /// Message type.
    pub mti: String,
    /// DE 3.
    pub processing_code: String,
    /// Masked card number.
    pub pan_masked: String,
    /// Account touched; empty if none.
    pub account: String,
    /// Amount in the message's currency.
    pub amount_minor: i64,
    /// ISO 4217 number of the message.
    pub currency: u16,
    /// Amount in the account's currency.
    pub billed_minor: i64,
    /// DE 11.
    pub stan: String,
    /// DE 7, else DE 13 and 12.
    pub transmission: String,
    /// DE 37.
    pub rrn: String,
    /// DE 38.
    pub auth_code: String,
    /// DE 41.
    pub terminal: String,
    /// DE 39 of the answer.
    pub code: String,
    /// Its state now.
    pub state: State,
    /// Business date YYYY-MM-DD.
    pub business_date: String,
    /// For a reversed posting: the business date of the reversal.
    pub reversed_on: Option<String>,
    /// Given back so far, in the message's currency.
    pub refunded_minor: i64,
    /// The transaction it completed, undid or refunded.
    pub original: Option<u64>,
    /// When it was booked, microseconds UTC.
    pub at_us: i64,
}

/// An account as it stands, in minor units of its currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// ISO 4217 number.
    pub currency: u16,
    /// Whose it is.
    pub holder: String,
    /// Opening balance.
    pub opening: i64,
    /// Balance.
    pub balance: i64,
    /// Held of it.
    pub held: i64,
}

/// The bank's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// DE 39.
    pub code: String,
    /// DE 38, for an approval.
    pub auth_code: Option<String>,
}

impl Decision {
    fn refuse(code: &str) -> Decision {
        Decision { code: code.to_string(), auth_code: None }
    }
}

/// When a request is booked.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Microseconds UTC.
    pub at_us: i64,
    /// Business date YYYY-MM-DD.
    pub business_date: String,
    /// Year and month YYMM, for expiry.
    pub year_month: String,
}

/// What is kept of the books while the twin is not running.
#[derive(Serialize, Deserialize)]
pub struct Snapshot {
    accounts: BTreeMap<String, Account>,
    /// Account, masked card number and wrong PINs in a row.
    wrong_pins: Vec<(String, String, u8)>,
    transactions: Vec<Transaction>,
    forestalled: Vec<(String, String)>,
    acquirer: BTreeMap<u16, i64>,
}

/// The books.
pub struct Books {
    accounts: BTreeMap<String, Account>,
    cards: HashMap<String, CardData>,
    rates: BTreeMap<u16, i64>,
    wrong_pins: HashMap<String, u8>,
    transactions: Vec<Transaction>,
    by_stan: HashMap<(String, String), Vec<usize>>,
    /// Reversals that came before their original: terminal and STAN.
    forestalled: Vec<(String, String)>,
    /// What the acquirer is owed, by currency of the messages.
    acquirer: BTreeMap<u16, i64>,
}

impl Books {
    /// Opens the books with the table's balances.
    pub fn open(data: &BankData) -> Books {
        let accounts = data.accounts.iter().map(|account| {
            let opened = Account {
                currency: account.currency,
                holder: account.holder.clone(),
                opening: account.balance,
                balance: account.balance,
                held: 0,
            };
            (account.id.clone(), opened)
        });
        let rates = data.rates.iter().filter_map(|(code, rate)| Some((code.parse().ok()?, *rate)));
        Books {
            accounts: accounts.collect(),
            cards: data.cards.iter().map(|card| (card.pan.clone(), card.clone())).collect(),
            rates: rates.collect(),
            wrong_pins: HashMap::new(),
            transactions: Vec::new(),
            by_stan: HashMap::new(),
            forestalled: Vec::new(),
            acquirer: BTreeMap::new(),
        }
    }

    /// What has to be kept to open the books again.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            accounts: self.accounts.clone(),
            wrong_pins: self
                .wrong_pins
                .iter()
                .filter_map(|(pan, tries)| {
                    let account = self.cards.get(pan)?.account.clone();
                    Some((account, guichet_iso8583::mask_pan(pan), *tries))
                })
                .collect(),
            transactions: self.transactions.clone(),
            forestalled: self.forestalled.clone(),
            acquirer: self.acquirer.clone(),
        }
    }

    /// Takes a snapshot's entries over; accounts that the table no longer has are left out.
    pub fn restore(&mut self, snapshot: Snapshot) {
        for (id, account) in snapshot.accounts {
            if let Some(open) = self.accounts.get_mut(&id) {
                *open = account;
            }
        }
        for (account, masked, tries) in snapshot.wrong_pins {
            let same = |card: &&CardData| {
                card.account == account && guichet_iso8583::mask_pan(&card.pan) == masked
            };
            if let Some(card) = self.cards.values().find(same) {
                self.wrong_pins.insert(card.pan.clone(), tries);
            }
        }
        self.forestalled = snapshot.forestalled;
        self.acquirer = snapshot.acquirer;
        self.transactions = snapshot.transactions;
        self.by_stan.clear();
        for (at, transaction) in self.transactions.iter().enumerate() {
            let key = (transaction.terminal.clone(), transaction.stan.clone());
            self.by_stan.entry(key).or_default().push(at);
        }
    }

    /// Every account by number.
    pub fn accounts(&self) -> &BTreeMap<String, Account> {
        &self.accounts
    }

    /// Every transaction in the order of booking.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// What the acquirer is owed, by ISO 4217 number.
    pub fn acquirer(&self) -> &BTreeMap<u16, i64> {
        &self.acquirer
    }

    /// The account and wrong PINs in a row of a card.
    pub fn card_state(&self, pan: &str) -> Option<(&Account, u8)> {
        let card = self.cards.get(pan)?;
        let tries = self.wrong_pins.get(pan).copied().unwrap_or(0);
        Some((self.accounts.get(&card.account)?, tries))
    }

    /// What the transactions say must equal what the accounts say. Returns what differs.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (id, account) in &self.accounts {
            let of_account = |t: &&Transaction| &t.account == id;
            let posted: i64 = self.transactions.iter().filter(of_account).map(posted_amount).sum();
            let held: i64 = self
                .transactions
                .iter()
                .filter(of_account)
                .filter(|t| t.state == State::Held)
                .map(|t| t.billed_minor)
                .sum();
            if account.opening - posted != account.balance || held != account.held {
                faults.push(format!("account {id} does not equal its transactions"));
            }
        }
        faults
    }

    /// Books a request that a rule declines without looking at it.
    pub fn decline(&mut self, request: &Request, moment: &Moment, code: &str) -> Decision {
        self.book(request, moment, Decision::refuse(code), State::Declined, None, 0);
        Decision::refuse(code)
    }

    /// Decides a request and books it.
    pub fn decide(&mut self, request: &Request, moment: &Moment) -> Decision {
        if self.transactions.len() >= MAX_TRANSACTIONS {
            return Decision::refuse("96");
        }
        match request.ask {
            Ask::Hold => self.hold(request, moment),
            Ask::Complete => self.complete(request, moment),
            Ask::Pay => self.pay(request, moment),
            Ask::Reverse => self.reverse(request, moment),
            Ask::Refund => self.refund(request, moment),
        }
    }

    fn hold(&mut self, request: &Request, moment: &Moment) -> Decision {
        let checked = self.check_card(request, moment).and_then(|_| self.check_funds(request, 0));
        match checked {
            Err(code) => self.decline(request, moment, code),
            Ok(billed) => {
                if let Some(account) = self.account_of(&request.pan) {
                    account.held += billed;
                }
                self.approve(request, moment, State::Held, None, billed, None)
            }
        }
    }

    fn complete(&mut self, request: &Request, moment: &Moment) -> Decision {
        let checked = self.check_card(request, moment).and_then(|card| {
            let refuse = card.refuse_completion.clone();
            let hold = self.original(request, &[Ask::Hold]).ok_or("25")?;
            Ok((refuse, hold))
        });
        let (refuse, at) = match checked {
            Err(code) => return self.decline(request, moment, code),
            Ok(found) => found,
        };
        let hold = &self.transactions[at];
        let same = hold.state == State::Held
            && hold.currency == request.currency
            && request.amount_minor <= hold.amount_minor
            && request.auth_code.as_deref() == Some(hold.auth_code.as_str())
            && hold.pan_masked == guichet_iso8583::mask_pan(&request.pan);
        if !same {
            let code = if hold.state == State::Held { "64" } else { "12" };
            return self.decline(request, moment, code);
        }
        let (held, auth_code) = (hold.billed_minor, hold.auth_code.clone());
        let billed = self
            .check_pin(request)
            .and_then(|()| refuse.as_deref().map_or(Ok(()), |code| Err(known_code(code))))
            .and_then(|()| self.check_funds(request, held));
        match billed {
            Err(code) => self.decline(request, moment, code),
            Ok(billed) => {
                if let Some(account) = self.account_of(&request.pan) {
                    account.held -= held;
                    account.balance -= billed;
                }
                *self.acquirer.entry(request.currency).or_default() += request.amount_minor;
                self.transactions[at].state = State::Completed;
                self.approve(request, moment, State::Posted, Some(at), billed, Some(auth_code))
            }
        }
    }

    fn pay(&mut self, request: &Request, moment: &Moment) -> Decision {
        let checked = self
            .check_card(request, moment)
            .map(|card| card.refuse_completion.clone())
            .and_then(|refuse| self.check_pin(request).map(|()| refuse))
            .and_then(|refuse| refuse.as_deref().map_or(Ok(()), |code| Err(known_code(code))))
            .and_then(|()| self.check_funds(request, 0));
        match checked {
            Err(code) => self.decline(request, moment, code),
            Ok(billed) => {
                if let Some(account) = self.account_of(&request.pan) {
                    account.balance -= billed;
                }
                *self.acquirer.entry(request.currency).or_default() += request.amount_minor;
                self.approve(request, moment, State::Posted, None, billed, None)
            }
        }
    }

    fn reverse(&mut self, request: &Request, moment: &Moment) -> Decision {
        let Some(at) = self.original(request, &[Ask::Hold, Ask::Complete, Ask::Pay]) else {
            if let Some(stan) = &request.original_stan {
                self.forestalled.push((request.terminal.clone(), stan.clone()));
            }
            let decision = Decision::refuse("25");
            self.book(request, moment, decision.clone(), State::Noted, None, 0);
            return decision;
        };
        let original = self.transactions[at].clone();
        if original.amount_minor != request.amount_minor {
            return self.decline(request, moment, "64");
        }
        let state = match original.state.clone() {
            State::Held => State::Released,
            State::Posted => State::Reversed,
            // Undoing a completed hold would leave its completion without one.
            State::Completed => return self.decline(request, moment, "12"),
            other @ (State::Released | State::Reversed | State::Declined | State::Noted) => other,
        };
        let undone = state != original.state;
        if undone {
            self.undo(&original);
            self.transactions[at].state = state;
            self.transactions[at].reversed_on = Some(moment.business_date.clone());
        }
        let billed = if undone { original.billed_minor } else { 0 };
        let decision = Decision { code: "00".to_string(), auth_code: None };
        let booked = if undone { State::Posted } else { State::Noted };
        self.book(request, moment, decision.clone(), booked, Some(at), billed);
        decision
    }

    fn undo(&mut self, original: &Transaction) {
        let hold = original.original.map(|number| number as usize - 1);
        let held_again = match original.ask {
            Ask::Complete => hold.map(|at| (at, self.transactions[at].billed_minor)),
            Ask::Hold | Ask::Pay | Ask::Reverse | Ask::Refund => None,
        };
        if let Some(account) = self.accounts.get_mut(&original.account) {
            if original.ask == Ask::Hold {
                account.held -= original.billed_minor;
            } else {
                account.balance += original.billed_minor;
            }
            if let Some((_, amount)) = held_again {
                account.held += amount;
            }
        }
        if original.ask != Ask::Hold {
            *self.acquirer.entry(original.currency).or_default() -= original.amount_minor;
        }
        if let Some((at, _)) = held_again {
            self.transactions[at].state = State::Held;
        }
    }

    fn refund(&mut self, request: &Request, moment: &Moment) -> Decision {
        if let Some(before) = self.refunded_before(request) {
            return before;
        }
        let Some(at) = self.refunded(request) else {
            return self.decline(request, moment, "25");
        };
        let original = self.transactions[at].clone();
        if original.state != State::Posted || original.currency != request.currency {
            return self.decline(request, moment, "12");
        }
        let left = original.amount_minor - original.refunded_minor;
        if request.amount_minor <= 0 || request.amount_minor > left {
            return self.decline(request, moment, "64");
        }
        let billed = self.convert(request.amount_minor, request.currency).unwrap_or(0);
        if let Some(account) = self.accounts.get_mut(&original.account) {
            account.balance += billed;
        }
        *self.acquirer.entry(request.currency).or_default() -= request.amount_minor;
        self.transactions[at].refunded_minor += request.amount_minor;
        self.approve(request, moment, State::Posted, Some(at), billed, None)
    }

    fn check_card(&self, request: &Request, moment: &Moment) -> Result<&CardData, &'static str> {
        let late = self
            .forestalled
            .iter()
            .any(|(terminal, stan)| *terminal == request.terminal && *stan == request.stan);
        if late {
            return Err("12");
        }
        let card = self.cards.get(&request.pan).ok_or("14")?;
        if let Some(code) = &card.refuse {
            return Err(known_code(code));
        }
        let stated = request.expiry.as_ref().is_none_or(|expiry| *expiry == card.expiry);
        if card.expiry < moment.year_month || !stated {
            return Err("54");
        }
        if self.wrong_pins.get(&request.pan).copied().unwrap_or(0) >= PIN_TRIES {
            return Err("75");
        }
        if request.amount_minor <= 0 {
            return Err("13");
        }
        if card.limit.is_some_and(|limit| request.amount_minor > limit) {
            return Err("61");
        }
        Ok(card)
    }

    /// The amount in the account's currency, if it is there; `freed` is held for it already.
    fn check_funds(&self, request: &Request, freed: i64) -> Result<i64, &'static str> {
        let card = self.cards.get(&request.pan).ok_or("14")?;
        let account = self.accounts.get(&card.account).ok_or("56")?;
        let billed = self.convert(request.amount_minor, request.currency).ok_or("12")?;
        if billed > account.balance - account.held + freed {
            return Err("51");
        }
        Ok(billed)
    }

    fn check_pin(&mut self, request: &Request) -> Result<(), &'static str> {
        let entered = match &request.pin {
            PinCheck::Absent => return Err("30"),
            PinCheck::BadBlock => return Err("99"),
            PinCheck::Entered(pin) => pin,
        };
        let right = self.cards.get(&request.pan).is_some_and(|card| card.pin == **entered);
        if right {
            self.wrong_pins.remove(&request.pan);
            return Ok(());
        }
        let tries = self.wrong_pins.entry(request.pan.clone()).or_default();
        *tries = tries.saturating_add(1);
        Err(if *tries >= PIN_TRIES { "75" } else { "55" })
    }

    /// Sets the wrong PINs of a card back to none.
    pub fn forgive(&mut self, pan: &str) -> bool {
        self.wrong_pins.remove(pan).is_some()
    }

    fn convert(&self, amount: i64, currency: u16) -> Option<i64> {
        let rate = i128::from(*self.rates.get(&currency)?);
        i64::try_from(i128::from(amount) * rate / 1_000_000).ok()
    }

    fn account_of(&mut self, pan: &str) -> Option<&mut Account> {
        let id = &self.cards.get(pan)?.account;
        self.accounts.get_mut(id)
    }

    /// The payment that a refund points to: same terminal, STAN and approval. A refund has a reference of its own.
    fn refunded(&self, request: &Request) -> Option<usize> {
        let stan = request.original_stan.as_ref()?;
        let found = self.by_stan.get(&(request.terminal.clone(), stan.clone()))?;
        found.iter().rev().copied().find(|at| {
            let transaction = &self.transactions[*at];
            [Ask::Complete, Ask::Pay].contains(&transaction.ask)
                && request.auth_code.as_ref().is_none_or(|auth| *auth == transaction.auth_code)
                && request.original_mti.as_ref().is_none_or(|mti| *mti == transaction.mti)
        })
    }

    /// The answer to the same refund, booked by an earlier process: a repeat gives no money twice.
    fn refunded_before(&self, request: &Request) -> Option<Decision> {
        let found = self.by_stan.get(&(request.terminal.clone(), request.stan.clone()))?;
        let before = found.iter().filter_map(|at| self.transactions.get(*at)).find(|before| {
            before.ask == Ask::Refund
                && before.state == State::Posted
                && (&before.rrn, &before.transmission) == (&request.rrn, &request.transmission)
                && before.amount_minor == request.amount_minor
        })?;
        let auth_code = Some(before.auth_code.clone());
        Some(Decision { code: before.code.clone(), auth_code })
    }

    /// The message that a request points to: same terminal, STAN and RRN.
    fn original(&self, request: &Request, asks: &[Ask]) -> Option<usize> {
        let stan = request.original_stan.as_ref()?;
        let found = self.by_stan.get(&(request.terminal.clone(), stan.clone()))?;
        found.iter().rev().copied().find(|at| {
            let transaction = &self.transactions[*at];
            asks.contains(&transaction.ask)
                && transaction.rrn == request.rrn
                && request.original_mti.as_ref().is_none_or(|mti| *mti == transaction.mti)
        })
    }

    fn approve(
        &mut self,
        request: &Request,
        moment: &Moment,
        state: State,
        original: Option<usize>,
        billed: i64,
        auth_code: Option<String>,
    ) -> Decision {
        let number = self.transactions.len() as u64 + 1;
        let auth_code = auth_code.unwrap_or_else(|| format!("A{number:05}"));
        let decision = Decision { code: "00".to_string(), auth_code: Some(auth_code) };
        self.book(request, moment, decision.clone(), state, original, billed);
        decision
    }

    fn book(
        &mut self,
        request: &Request,
        moment: &Moment,
        decision: Decision,
        state: State,
        original: Option<usize>,
        billed: i64,
    ) {
        let account = match original {
            Some(at) => self.transactions[at].account.clone(),
            None => self.cards.get(&request.pan).map(|c| c.account.clone()).unwrap_or_default(),
        };
        let pan_masked = match original {
            Some(at) if request.pan.is_empty() => self.transactions[at].pan_masked.clone(),
            Some(_) | None => guichet_iso8583::mask_pan(&request.pan),
        };
        let at = self.transactions.len();
        self.transactions.push(Transaction {
            number: at as u64 + 1,
            ask: request.ask,
            mti: request.mti.clone(),
            processing_code: request.processing_code.clone(),
            pan_masked,
            account,
            amount_minor: request.amount_minor,
            currency: request.currency,
            billed_minor: billed,
            stan: request.stan.clone(),
            transmission: request.transmission.clone(),
            rrn: request.rrn.clone(),
            auth_code: decision.auth_code.unwrap_or_default(),
            terminal: request.terminal.clone(),
            code: decision.code,
            state,
            business_date: moment.business_date.clone(),
            reversed_on: None,
            refunded_minor: 0,
            original: original.map(|at| at as u64 + 1),
            at_us: moment.at_us,
        });
        let key = (request.terminal.clone(), request.stan.clone());
        self.by_stan.entry(key).or_default().push(at);
    }
}

/// What a transaction took from its account for good.
fn posted_amount(transaction: &Transaction) -> i64 {
    match (transaction.ask, &transaction.state) {
        (Ask::Complete | Ask::Pay, State::Posted) => transaction.billed_minor,
        (Ask::Refund, State::Posted) => -transaction.billed_minor,
        _ => 0,
    }
}

/// A code of the table as one that lives as long as the program.
fn known_code(code: &str) -> &'static str {
    const CODES: [&str; 14] =
        ["05", "12", "14", "15", "31", "41", "43", "51", "54", "57", "61", "62", "65", "91"];
    CODES.into_iter().find(|known| *known == code).unwrap_or("05")
}
