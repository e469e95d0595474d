//! One payment of an order, by its facts alone.

use std::collections::{BTreeMap, BTreeSet};

use guichet_engine::event::{BankNumbers, BankStep, Flow, PaymentEnd};
use guichet_engine::ids::{AcquirerId, LineNo, PaymentNo};
use guichet_engine::money::Money;
use guichet_engine::time::BusinessDate;

use crate::report::{FactPlace, Findings, Owner, Rule};

/// What the bank may have of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was asked and nothing is known.
    Asked,
    /// The bank agreed.
    Agreed,
    /// The bank refused, or nothing was written.
    Refused,
    /// Nobody knows.
    InDoubt,
    /// It is being reversed.
    Reversing,
    /// The bank has taken the reversal.
    Reversed,
}

/// One payment.
#[derive(Debug)]
pub(crate) struct Payment {
    pub acquirer: AcquirerId,
    pub amount: Money,
    pub lines: Vec<LineNo>,
    pub completed: Option<BusinessDate>,
    pub since: FactPlace,
    flow: Flow,
    steps: BTreeMap<BankStep, (Step, BankNumbers)>,
    last_try: u8,
    ended: Option<PaymentEnd>,
    /// Steps that the bank agreed to when nobody waited any more.
    agreed_late: BTreeSet<BankStep>,
}

impl Payment {
    pub fn new(
        since: FactPlace,
        acquirer: AcquirerId,
        flow: Flow,
        amount: Money,
        lines: Vec<LineNo>,
    ) -> Self {
        Self {
            acquirer,
            amount,
            lines,
            completed: None,
            since,
            flow,
            steps: BTreeMap::new(),
            last_try: 0,
            ended: None,
            agreed_late: BTreeSet::new(),
        }
    }

    /// Whether the bank has the money now.
    pub fn charged(&self) -> bool {
        self.completed.is_some() && self.step(BankStep::Completion) != Some(Step::Reversed)
    }

    pub fn authorization_asked(&mut self, numbers: BankNumbers) -> Result<(), (Rule, String)> {
        let first = self.steps.insert(BankStep::Authorization, (Step::Asked, numbers)).is_none();
        if first && self.flow == Flow::TwoStep {
            return Ok(());
        }
        Err((Rule::SentTwice, "authorization asked again, or of a payment in one step".to_owned()))
    }

    pub fn authorized(&mut self) -> Result<(), (Rule, String)> {
        self.turn(BankStep::Authorization, Step::Agreed, &[Step::Asked])
    }

    pub fn completion_asked(
        &mut self,
        pin_try: u8,
        numbers: BankNumbers,
    ) -> Result<(), (Rule, String)> {
        let held =
            self.flow == Flow::OneStep || self.step(BankStep::Authorization) == Some(Step::Agreed);
        let was = self.steps.insert(BankStep::Completion, (Step::Asked, numbers));
        let after_refusal = was.is_none_or(|(step, _)| step == Step::Refused);
        let rises = pin_try > std::mem::replace(&mut self.last_try, pin_try);
        if held && after_refusal && rises {
            return Ok(());
        }
        let was = was.map(|(step, _)| step);
        Err((Rule::SentTwice, format!("completion with PIN try {pin_try} after {was:?}")))
    }

    pub fn pin_refused(&mut self) -> Result<(), (Rule, String)> {
        self.turn(BankStep::Completion, Step::Refused, &[Step::Asked])
    }

    pub fn complete(&mut self, date: BusinessDate) -> Result<(), (Rule, String)> {
        if let Some(was) = self.completed.replace(date) {
            return Err((Rule::BusinessDate, format!("stamped {was}, then {date}")));
        }
        self.turn(BankStep::Completion, Step::Agreed, &[Step::Asked])
    }

    pub fn in_doubt(&mut self, step: BankStep) -> Result<(), (Rule, String)> {
        self.turn(step, Step::InDoubt, &[Step::Asked, Step::InDoubt])
    }

    pub fn reversal_asked(
        &mut self,
        step: BankStep,
        original: BankNumbers,
        amount: Money,
    ) -> Result<(), (Rule, String)> {
        // A reversal copies the fields of what it reverses; with others the host finds nothing.
        let asked = self.steps.get(&step).map(|(_, numbers)| *numbers);
        self.turn(
            step,
            Step::Reversing,
            &[Step::Asked, Step::Agreed, Step::InDoubt, Step::Refused],
        )?;
        if asked != Some(original) || amount != self.amount {
            let detail = format!("reversal of {step:?} names another message or amount");
            return Err((Rule::BankLeftInDoubt, detail));
        }
        Ok(())
    }

    pub fn reversed(&mut self, step: BankStep) -> Result<(), (Rule, String)> {
        self.turn(step, Step::Reversed, &[Step::Reversing])
    }

    pub fn end(&mut self, why: PaymentEnd) -> Result<(), (Rule, String)> {
        let declined = match why {
            PaymentEnd::Declined(_) | PaymentEnd::NotSent | PaymentEnd::PinTriesExceeded => true,
            PaymentEnd::Cancelled
            | PaymentEnd::TimedOut
            | PaymentEnd::SessionLost
            | PaymentEnd::InDoubt
            | PaymentEnd::HoldLost => false,
        };
        if declined {
            for (step, _) in self.steps.values_mut().filter(|(step, _)| *step == Step::Asked) {
                *step = Step::Refused;
            }
        }
        if self.ended.replace(why).is_some() || self.charged() {
            return Err((Rule::BankLeftInDoubt, "ended twice, or though it is charged".to_owned()));
        }
        Ok(())
    }

    /// Takes in an answer that came when nobody waited for it.
    pub fn answered_late(&mut self, step: BankStep, approved: bool) {
        if approved {
            self.agreed_late.insert(step);
        }
    }

    /// What the bank agreed to late is reversed; where it is not, an exception has to name the order.
    pub fn finish_late(&self, subject: &str, number: PaymentNo, out: &mut Findings) {
        let covered = |step| matches!(self.step(step), Some(Step::Reversing | Step::Reversed));
        for step in self.agreed_late.iter().filter(|step| !covered(**step)) {
            let subject = format!("{subject} payment {number} {step:?}");
            let detail = "approved late, neither reversed nor an exception";
            out.violation(Rule::BankLeftInDoubt, self.since, subject, detail);
        }
    }

    /// Lists what the bank may still hold or have taken.
    pub fn finish(&self, subject: &str, number: PaymentNo, closed: bool, out: &mut Findings) {
        let settled = self.charged();
        for (step, (state, _)) in &self.steps {
            let (kind, owner) = match state {
                Step::Agreed if settled => continue,
                Step::Refused | Step::Reversed => continue,
                Step::Agreed => ("money held by the bank", Owner::Terminal),
                Step::Asked => ("message to the bank unanswered", Owner::Bank),
                Step::InDoubt => ("payment in doubt", Owner::Bank),
                Step::Reversing => ("reversal unanswered", Owner::Bank),
            };
            let subject = format!("{subject} payment {number} {step:?}");
            if closed {
                let detail = format!("{state:?} though the order is closed");
                out.violation(Rule::BankLeftInDoubt, self.since, &subject, detail);
            }
            let rule = Rule::BankLeftInDoubt;
            out.open(rule, kind, owner, self.since, subject, Some(self.amount));
        }
        if self.steps.is_empty() && self.ended.is_none() {
            let subject = format!("{subject} payment {number}");
            let kind = "payment begun";
            out.open(
                Rule::NotDrained,
                kind,
                Owner::Terminal,
                self.since,
                subject,
                Some(self.amount),
            );
        }
    }

    fn step(&self, step: BankStep) -> Option<Step> {
        self.steps.get(&step).map(|(state, _)| *state)
    }

    fn turn(&mut self, step: BankStep, to: Step, from: &[Step]) -> Result<(), (Rule, String)> {
        match self.steps.get_mut(&step) {
            Some((state, _)) if from.contains(state) => {
                *state = to;
                Ok(())
            }
            was => {
                let was = was.map(|(state, _)| *state);
                Err((Rule::BankLeftInDoubt, format!("{step:?} becomes {to:?} after {was:?}")))
            }
        }
    }
}
