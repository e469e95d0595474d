//! Who may ask for what: deny by default.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![deny(clippy::wildcard_enum_match_arm)]

use crate::command::{Body, Command, Principal, Role};
use crate::reject::Reject;

/// Checks the role, and for a terminal that it speaks for itself.
///
/// # Errors
/// `Forbidden`, or `NeedsSecondPrincipal` where two different people have to agree.
pub fn check(command: &Command) -> Result<(), Reject> {
    if !roles(&command.body).contains(&command.principal.role) {
        return Err(Reject::Forbidden);
    }
    if needs_two(&command.body) {
        return match command.second {
            Some(second)
                if second != command.principal && second.role == command.principal.role =>
            {
                Ok(())
            }
            Some(_) | None => Err(Reject::NeedsSecondPrincipal),
        };
    }
    match (&command.body, command.principal.role) {
        (
            Body::StartPayment { terminal, .. }
            | Body::TerminalLink { terminal, .. }
            | Body::ReportDevice { terminal, .. }
            | Body::EnrolTerminal { terminal, .. },
            Role::Terminal,
        ) if u64::from(terminal.0) != command.principal.id => Err(Reject::Forbidden),
        _allowed_by_role => Ok(()),
    }
}

/// Whether this principal is the terminal, or no terminal at all.
#[must_use]
pub fn speaks_for(principal: Principal, terminal: crate::ids::TerminalId) -> bool {
    principal.role != Role::Terminal || principal.id == u64::from(terminal.0)
}

fn needs_two(body: &Body) -> bool {
    matches!(body, Body::CountPrint { .. } | Body::EndException { .. } | Body::VoidLine { .. })
}

fn roles(body: &Body) -> &'static [Role] {
    use Role::{Agent, Clerk, Gateway, Guest, Operator, System, Terminal};
    match body {
        Body::PlaceOrder(_) => &[Guest, Agent],
        Body::CancelOrder { .. } | Body::RefundLine { .. } => &[Guest, Agent, Operator],
        Body::ExchangeLine { .. } => &[Guest, Agent],
        Body::ReportDisruption { .. } | Body::ReportNoShow { .. } => &[Gateway, Operator, System],
        Body::StartPayment { .. } | Body::EnterPin { .. } => &[Terminal],
        Body::AbandonPayment { .. } => &[Terminal, Gateway, System],
        Body::ProviderAnswered { .. }
        | Body::BankAnswered { .. }
        | Body::ReportUnmatched { .. } => &[Gateway, System],
        Body::ReportPrint { .. } => &[Terminal, Gateway, System],
        Body::ReportTaken { .. } | Body::ReportReceipt { .. } => &[Terminal, Gateway],
        Body::CountPrint { .. } | Body::Unpark { .. } | Body::VoidLine { .. } => &[Operator],
        Body::Tick { .. }
        | Body::Restarted { .. }
        | Body::Park { .. }
        | Body::ExceptOpenItem { .. }
        | Body::Deliver { .. }
        | Body::Acknowledge { .. } => &[System],
        Body::RegisterTerminal { .. } | Body::RevokeTerminal { .. } => &[Operator],
        Body::Configure { .. } => &[Operator, System],
        Body::EnrolTerminal { .. } => &[Gateway, Terminal],
        Body::TerminalLink { .. } => &[Gateway, System, Terminal],
        Body::ReportDevice { .. } => &[Terminal, Gateway],
        Body::OpenBatch { .. } | Body::CloseBatch { .. } | Body::RecordReconciliation { .. } => {
            &[Clerk, System]
        }
        Body::EndException { .. } => &[Clerk],
    }
}
