//! Errors as RFC 9457 problems: what, whose fault, what to do.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use guichet_engine::reject::Reject;
use guichet_ports::center::Refused;
use guichet_ports::vault::VaultFault;
use serde::Serialize;
use utoipa::ToSchema;

/// A problem, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// A stable name of the kind, relative to the API.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and what to do.
    pub detail: String,
    /// The field at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The engine's reject code, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Seconds after which trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

/// What a reader of JSON says of a text, without the value that it stumbled over: that may be a card's number.
#[must_use]
pub fn without_values(said: &str) -> String {
    const CAREFUL: [&str; 4] =
        ["invalid type", "invalid value", "unknown field", "unknown variant"];
    for kind in CAREFUL {
        let (Some(at), Some(rest)) = (said.find(kind), said.rfind(", expected")) else { continue };
        if at < rest {
            return format!("{}{kind}{}", &said[..at], &said[rest..]);
        }
    }
    said.to_owned()
}

impl Problem {
    /// A problem of a kind.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            code: None,
            retry_after: None,
        }
    }

    /// A field of the request that cannot be used.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad-field",
            "A field cannot be used",
            detail,
        );
        problem.field = Some(field.to_owned());
        problem
    }

    /// No order, or the wrong second factor: the same answer for both.
    pub fn no_order() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-order",
            "No such booking",
            "no booking has this reference and second factor; check both",
        )
    }

    /// Too many requests.
    pub fn too_many(retry_after: u32) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests",
            format!("wait {retry_after} s and try again"),
        );
        problem.retry_after = Some(retry_after);
        problem
    }

    fn busy(detail: &str) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "The booking center is busy",
            detail,
        );
        problem.retry_after = Some(2);
        problem
    }
}

/// The status and the words of each reject that can reach a booker.
fn of_reject(reject: Reject) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match reject {
        Reject::IdReused => (
            S::CONFLICT,
            "Idempotency key used before",
            "this Idempotency-Key came with another body; take a fresh one",
        ),
        Reject::UnknownOrder => (S::NOT_FOUND, "No such booking", "the booking does not exist"),
        Reject::PaymentRunning => (
            S::CONFLICT,
            "A payment is running",
            "somebody is paying for this booking at a terminal; try again when it has ended",
        ),
        Reject::WrongPhase => (
            S::CONFLICT,
            "Not possible any more",
            "the booking is in a state in which this cannot be done",
        ),
        Reject::NotYet => (S::CONFLICT, "Too early", "the time for this has not come"),
        Reject::TooLate => (S::CONFLICT, "Too late", "the time for this is over"),
        Reject::Parked => {
            (S::CONFLICT, "With our staff", "this booking is being looked at by our staff")
        }
        Reject::Forbidden => (S::FORBIDDEN, "Not allowed", "this is not allowed in this role"),
        Reject::WrongFactor => {
            (S::NOT_FOUND, "No such booking", "check reference and second factor")
        }
        Reject::LimitReached => {
            (S::SERVICE_UNAVAILABLE, "Limit reached", "too many bookings wait; try again later")
        }
        Reject::UnknownService
        | Reject::UnknownTerminal
        | Reject::OrderExists
        | Reject::BadLines
        | Reject::BadPassengers
        | Reject::CurrencyDiffers
        | Reject::BadAmount
        | Reject::BadText
        | Reject::BadRun
        | Reject::Stale
        | Reject::NothingToPay
        | Reject::HoldEnding
        | Reject::TerminalRefused
        | Reject::WrongSession
        | Reject::TooManyPayments
        | Reject::BadEnrolment
        | Reject::BadBusinessDate
        | Reject::BatchOpen
        | Reject::NeedsSecondPrincipal
        | Reject::OtherCard
        | Reject::NeedsReason
        | Reject::BadSetting
        | Reject::Gap => {
            (S::UNPROCESSABLE_ENTITY, "Not accepted", "the booking was not accepted as it is")
        }
        Reject::Broken | Reject::UnknownException => (
            S::INTERNAL_SERVER_ERROR,
            "Our fault",
            "something of ours is broken; our staff is told",
        ),
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected(reject) => {
                let (status, title, detail) = of_reject(reject);
                let mut problem =
                    Self::new(status, &format!("reject-{}", reject.code()), title, detail);
                problem.code = Some(reject.code());
                problem
            }
            Refused::Busy => Self::busy("too much is waiting; nothing was booked"),
            Refused::Stopped => Self::busy("the booking center is stopping; nothing was booked"),
        }
    }
}

impl From<VaultFault> for Problem {
    fn from(fault: VaultFault) -> Self {
        match fault {
            VaultFault::BadForm(field) => Self::field(field, format!("{field} has the wrong form")),
            VaultFault::Unknown | VaultFault::Erased => Self::new(
                StatusCode::GONE,
                "erased",
                "Erased",
                "the personal data of this booking was erased",
            ),
            VaultFault::Store | VaultFault::Damaged => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "vault",
                "Our fault",
                "personal data could not be stored or read; nothing was booked",
            ),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after {
            response.insert_header(("Retry-After", seconds.to_string()));
        }
        response
            .content_type("application/problem+json")
            .body(serde_json::to_vec(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn what_a_reader_stumbled_over_is_not_repeated() {
        let rows = [
            (
                r#"Json deserialize error: invalid type: string "62, expected", expected u8 at line 1"#,
                "Json deserialize error: invalid type, expected u8 at line 1",
            ),
            (
                "unknown variant `6200`, expected one of `who`, `settle`",
                "unknown variant, expected one of `who`, `settle`",
            ),
            ("missing field `card` at line 1 column 2", "missing field `card` at line 1 column 2"),
        ];
        for (said, told) in rows {
            assert_eq!(without_values(said), told);
        }
        for wrong in [r#"{"a":"62000005"}"#, r#"{"62000005":1}"#, r#"62000005"#, r#""62000005""#] {
            let said = serde_json::from_str::<Only>(wrong).expect_err(wrong).to_string();
            assert!(said.contains("62000005") && !without_values(&said).contains("62000005"));
        }
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Only {
        #[serde(rename = "a")]
        _a: u8,
    }
}
