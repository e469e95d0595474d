//! Why a command was refused: data, numbered for ever.

/// A business refusal. Codes are stable; `docs/codes/rejects.md` has a row for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// 1: the id was used before with another body.
    IdReused,
    /// 2: no such order.
    UnknownOrder,
    /// 3: no such service.
    UnknownService,
    /// 4: no such terminal.
    UnknownTerminal,
    /// 5: the order exists already.
    OrderExists,
    /// 6: the order has no lines, or more than allowed.
    BadLines,
    /// 7: the order has no passengers, or more than allowed, or a line names none of them.
    BadPassengers,
    /// 8: currencies differ within the order.
    CurrencyDiffers,
    /// 9: an amount is negative or too large.
    BadAmount,
    /// 10: a text is empty or too long.
    BadText,
    /// 11: the run is empty or beyond the service.
    BadRun,
    /// 12: the order is in another phase.
    WrongPhase,
    /// 13: the answer is for an attempt that is over.
    Stale,
    /// 14: a payment is running.
    PaymentRunning,
    /// 15: nothing of the order is left to pay for.
    NothingToPay,
    /// 16: the hold ends too soon.
    HoldEnding,
    /// 17: the terminal may not do this (revoked, other operator, not connected).
    TerminalRefused,
    /// 18: the session is not the one that began.
    WrongSession,
    /// 19: the principal may not do this.
    Forbidden,
    /// 20: the second factor is wrong.
    WrongFactor,
    /// 21: too many payments were begun on the order.
    TooManyPayments,
    /// 22: the order is parked for an operator.
    Parked,
    /// 23: the enrolment code is wrong, used or too old.
    BadEnrolment,
    /// 24: the cutover names a day that is not open.
    BadBusinessDate,
    /// 25: the batch is not ready to be closed.
    BatchOpen,
    /// 26: two different principals have to agree.
    NeedsSecondPrincipal,
    /// 27: a limit of the engine is reached.
    LimitReached,
    /// 28: the card of the swipe is not the order's.
    OtherCard,
    /// 29: the time for this is over.
    TooLate,
    /// 30: the entity failed an invariant and is stopped.
    Broken,
    /// 31: messages before these are missing; they are to be sent first.
    Gap,
    /// 32: no such exception is open.
    UnknownException,
    /// 33: it has to be said why.
    NeedsReason,
    /// 34: the time for this has not come.
    NotYet,
    /// 35: a setting is out of its range, or not one of this level.
    BadSetting,
}

impl Reject {
    /// Every reject, in the order of their codes.
    pub const ALL: &'static [Self] = &[
        Self::IdReused,
        Self::UnknownOrder,
        Self::UnknownService,
        Self::UnknownTerminal,
        Self::OrderExists,
        Self::BadLines,
        Self::BadPassengers,
        Self::CurrencyDiffers,
        Self::BadAmount,
        Self::BadText,
        Self::BadRun,
        Self::WrongPhase,
        Self::Stale,
        Self::PaymentRunning,
        Self::NothingToPay,
        Self::HoldEnding,
        Self::TerminalRefused,
        Self::WrongSession,
        Self::Forbidden,
        Self::WrongFactor,
        Self::TooManyPayments,
        Self::Parked,
        Self::BadEnrolment,
        Self::BadBusinessDate,
        Self::BatchOpen,
        Self::NeedsSecondPrincipal,
        Self::LimitReached,
        Self::OtherCard,
        Self::TooLate,
        Self::Broken,
        Self::Gap,
        Self::UnknownException,
        Self::NeedsReason,
        Self::NotYet,
        Self::BadSetting,
    ];

    /// The code, for ever.
    #[must_use]
    pub fn code(self) -> u16 {
        let place = Self::ALL.iter().position(|r| *r == self).unwrap_or(0);
        u16::try_from(place).unwrap_or(0).saturating_add(1)
    }

    /// The reject of a code.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.get(usize::from(code.checked_sub(1)?)).copied()
    }

    /// Whether the same command may succeed later without anybody changing it.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::PaymentRunning | Self::BatchOpen | Self::Parked | Self::Gap => true,
            Self::IdReused
            | Self::UnknownOrder
            | Self::UnknownService
            | Self::UnknownTerminal
            | Self::OrderExists
            | Self::BadLines
            | Self::BadPassengers
            | Self::CurrencyDiffers
            | Self::BadAmount
            | Self::BadText
            | Self::BadRun
            | Self::WrongPhase
            | Self::Stale
            | Self::NothingToPay
            | Self::HoldEnding
            | Self::TerminalRefused
            | Self::WrongSession
            | Self::Forbidden
            | Self::WrongFactor
            | Self::TooManyPayments
            | Self::BadEnrolment
            | Self::BadBusinessDate
            | Self::NeedsSecondPrincipal
            | Self::LimitReached
            | Self::OtherCard
            | Self::TooLate
            | Self::Broken
            | Self::UnknownException
            | Self::NeedsReason
            | Self::NotYet
            | Self::BadSetting => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable() {
        assert_eq!(Reject::IdReused.code(), 1);
        assert_eq!(Reject::Stale.code(), 13);
        assert_eq!(Reject::Broken.code(), 30);
        for reject in Reject::ALL {
            assert_eq!(Reject::from_code(reject.code()), Some(*reject));
        }
        assert_eq!(Reject::from_code(0), None);
        assert_eq!(Reject::UnknownException.code(), 32);
        assert_eq!(Reject::from_code(36), None);
    }
}
