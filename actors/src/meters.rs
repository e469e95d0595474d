//! What the shell measures, in the names of Prometheus' conventions.

use std::time::Duration;

use guichet_engine::command::Body;
use guichet_engine::effect::{Intent, TerminalOp};
use guichet_engine::ids::PartitionId;
use guichet_engine::reject::Reject;
use metrics::{counter, gauge, histogram};

/// One word for each command.
pub(crate) fn kind(body: &Body) -> &'static str {
    match body {
        Body::PlaceOrder(_) => "place_order",
        Body::CancelOrder { .. } => "cancel_order",
        Body::StartPayment { .. } => "start_payment",
        Body::EnterPin { .. } => "enter_pin",
        Body::AbandonPayment { .. } => "abandon_payment",
        Body::ProviderAnswered { .. } => "provider_answered",
        Body::BankAnswered { .. } => "bank_answered",
        Body::ReportUnmatched { .. } => "report_unmatched",
        Body::ReportPrint { .. } => "report_print",
        Body::ReportTaken { .. } => "report_taken",
        Body::ReportReceipt { .. } => "report_receipt",
        Body::CountPrint { .. } => "count_print",
        Body::RefundLine { .. } => "refund_line",
        Body::ExchangeLine { .. } => "exchange_line",
        Body::VoidLine { .. } => "void_line",
        Body::ReportDisruption { .. } => "report_disruption",
        Body::ReportNoShow { .. } => "report_no_show",
        Body::Tick { .. } => "tick",
        Body::Restarted { .. } => "restarted",
        Body::Park { .. } => "park",
        Body::Unpark { .. } => "unpark",
        Body::ExceptOpenItem { .. } => "except_open_item",
        Body::RegisterTerminal { .. } => "register_terminal",
        Body::EnrolTerminal { .. } => "enrol_terminal",
        Body::RevokeTerminal { .. } => "revoke_terminal",
        Body::Configure { .. } => "configure",
        Body::TerminalLink { .. } => "terminal_link",
        Body::ReportDevice { .. } => "report_device",
        Body::OpenBatch { .. } => "open_batch",
        Body::CloseBatch { .. } => "close_batch",
        Body::RecordReconciliation { .. } => "record_reconciliation",
        Body::EndException { .. } => "end_exception",
        Body::Deliver { .. } => "deliver",
        Body::Acknowledge { .. } => "acknowledge",
    }
}

fn intent_kind(intent: &Intent) -> &'static str {
    match intent {
        Intent::Provider(_) => "provider",
        Intent::Bank(_) => "bank",
        Intent::Terminal(told) => match told.op {
            TerminalOp::Issue(_) => "issue",
            TerminalOp::PushBooking { .. } | TerminalOp::WithdrawBooking { .. } => "booking",
            TerminalOp::ShowAuthorizing { .. }
            | TerminalOp::AskPin { .. }
            | TerminalOp::ShowCompleting { .. }
            | TerminalOp::PrintReceipt { .. }
            | TerminalOp::QueryPrint { .. }
            | TerminalOp::ShowEnded { .. }
            | TerminalOp::ShowLineRefunded { .. }
            | TerminalOp::ShowDone { .. } => "terminal",
        },
        Intent::Revoke { .. } => "revoke",
        Intent::Deliver { .. } => "deliver",
        Intent::Schedule { .. } => "schedule",
        Intent::Rest(_) => "rest",
    }
}

pub(crate) fn decided(kind: &'static str, reject: Option<Reject>) {
    let result = reject.map_or("accepted".to_owned(), |reject| reject.code().to_string());
    counter!("guichet_commands_total", "kind" => kind, "result" => result).increment(1);
}

pub(crate) fn busy(kind: &'static str) {
    counter!("guichet_commands_total", "kind" => kind, "result" => "busy").increment(1);
}

pub(crate) fn intent(intent: &Intent) {
    counter!("guichet_intents_total", "kind" => intent_kind(intent)).increment(1);
}

pub(crate) fn appended(partition: PartitionId, took: Duration, commands: usize) {
    let partition = partition.to_string();
    histogram!("guichet_journal_append_seconds", "partition" => partition.clone())
        .record(took.as_secs_f64());
    let commands = u32::try_from(commands).unwrap_or(u32::MAX);
    histogram!("guichet_batch_commands", "partition" => partition).record(f64::from(commands));
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(crate) fn recovered(partition: PartitionId, checkpoint: u64, folded: u64, took: Duration) {
    let partition = partition.to_string();
    gauge!("guichet_checkpoint_record", "partition" => partition.clone()).set(number(checkpoint));
    gauge!("guichet_recovery_records", "partition" => partition.clone()).set(number(folded));
    gauge!("guichet_recovery_seconds", "partition" => partition).set(took.as_secs_f64());
}

pub(crate) fn checkpoint_copied(partition: PartitionId, took: Duration) {
    histogram!("guichet_checkpoint_copy_seconds", "partition" => partition.to_string())
        .record(took.as_secs_f64());
}

pub(crate) fn checkpoint_written(partition: PartitionId, sequence: u64, took: Duration) {
    let partition = partition.to_string();
    gauge!("guichet_checkpoint_record", "partition" => partition.clone()).set(number(sequence));
    histogram!("guichet_checkpoint_write_seconds", "partition" => partition)
        .record(took.as_secs_f64());
}

pub(crate) fn checkpoint_failed(partition: PartitionId) {
    counter!("guichet_checkpoints_failed_total", "partition" => partition.to_string()).increment(1);
}

fn as_gauge(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(crate) fn inbox_depth(partition: PartitionId, depth: usize) {
    gauge!("guichet_inbox_depth", "partition" => partition.to_string()).set(as_gauge(depth));
}

pub(crate) fn undelivered(partition: PartitionId, count: usize) {
    gauge!("guichet_messages_unacknowledged", "partition" => partition.to_string())
        .set(as_gauge(count));
}

pub(crate) fn partition_stopped(partition: PartitionId) {
    gauge!("guichet_partition_stopped", "partition" => partition.to_string()).set(1.0);
}

pub(crate) fn oldest_pin(partition: PartitionId, age_s: i64) {
    gauge!("guichet_oldest_pin_seconds", "partition" => partition.to_string())
        .set(number(u64::try_from(age_s).unwrap_or(0)));
}

pub(crate) fn not_archived(partition: PartitionId) {
    counter!("guichet_archive_failures_total", "partition" => partition.to_string()).increment(1);
}

pub(crate) fn panicked(place: &'static str) {
    counter!("guichet_panics_total", "in" => place).increment(1);
}

pub(crate) fn actor_alive(kind: &'static str, by: f64) {
    gauge!("guichet_actors_alive", "kind" => kind).increment(by);
}

pub(crate) fn mailbox_full(kind: &'static str) {
    counter!("guichet_mailbox_full_total", "kind" => kind).increment(1);
}

pub(crate) fn parked() {
    counter!("guichet_orders_parked_total").increment(1);
}

pub(crate) fn retried(port: &'static str) {
    counter!("guichet_retries_total", "port" => port).increment(1);
}

pub(crate) fn stale_answer(port: &'static str) {
    counter!("guichet_stale_answers_total", "port" => port).increment(1);
}

pub(crate) fn not_told() {
    counter!("guichet_instructions_not_sent_total").increment(1);
}

pub(crate) fn timers(count: usize) {
    gauge!("guichet_timers").set(as_gauge(count));
}
